"""Pretended instances: real processes that boot, end in time, and leave nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.local import family
from hetslurm.cloudburst.provider.local.faults import give_notice, lose
from hetslurm.cloudburst.provider.protocol import ProviderError, Seen, SeenState, Trouble

from .conftest import POOL, Here, order, wait_for
from .crash_child import STEPS

CRASH = str(Path(__file__).with_name("crash_child.py"))


def test_an_instance_boots_runs_and_ends_when_it_is_told_to(here: Here) -> None:
    launched = here.launch(order())
    assert (launched.node, launched.generation, launched.token) == ("cloud1", 1, "c-cloud1-1")
    here.wait_for(launched.instance_id, SeenState.RUNNING)
    assert here.provider.terminate([launched.instance_id]) == {}
    here.wait_for(launched.instance_id, SeenState.ENDED)
    here.wait_for_nothing_of(launched.instance_id)
    (seen,) = here.provider.seen()
    assert seen.ended_at is not None
    assert launched.launched_at <= seen.ended_at <= time.time()


def test_the_same_token_twice_or_at_once_is_one_instance(here: Here) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: here.provider.launch([order()])["c-cloud1-1"], range(8)))
    assert len({answer.instance_id for answer in answers if isinstance(answer, Seen)}) == 1
    assert len(here.provider.seen()) == 1
    here.wait_for(here.provider.seen()[0].instance_id, SeenState.RUNNING)
    sleeping = [
        pid
        for pid, _ in here.processes(here.provider.seen()[0].instance_id)
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep")
    ]
    assert len(sleeping) == 1


def test_a_token_whose_instance_has_ended_starts_nothing_anew(here: Here) -> None:
    launched = here.launch(order())
    here.provider.terminate([launched.instance_id])
    here.wait_for(launched.instance_id, SeenState.ENDED)
    assert here.launch(order()).state is SeenState.ENDED
    here.wait_for_nothing_of(launched.instance_id)


def test_a_launch_that_was_killed_before_it_started_anything_is_finished_by_the_next(here: Here) -> None:
    launched = here.launch(order())
    here.provider.terminate([launched.instance_id])
    here.wait_for(launched.instance_id, SeenState.ENDED)
    here.wait_for_nothing_of(launched.instance_id)
    folder = here.folder(launched.instance_id)
    for name in ("begun.json", "ended.json", "terminate", "family.json"):
        (folder.path / name).unlink(missing_ok=True)
    assert here.launch(order()).instance_id == launched.instance_id
    here.wait_for(launched.instance_id, SeenState.RUNNING)


@pytest.mark.parametrize("step", STEPS)
def test_a_launch_that_is_killed_at_any_step_and_repeated_is_one_instance(here: Here, step: str) -> None:
    child = subprocess.run([sys.executable, "-P", CRASH, str(here.dir), step], check=False, timeout=60)
    assert child.returncode == -signal.SIGKILL
    launched = here.launch(order())
    here.wait_for(launched.instance_id, SeenState.RUNNING)
    assert [seen.instance_id for seen in here.provider.seen()] == [launched.instance_id]
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid, _ in here.processes(launched.instance_id)]
    assert sum(command.startswith(b"sleep") for command in commands) == 1


def test_it_ends_itself_at_its_deadline_though_nobody_asks(here: Here) -> None:
    launched = here.launch(order(deadline_at=time.time() + 1.5))
    folder = here.folder(launched.instance_id)
    wait_for("it ends", lambda: folder.ended_at() is not None)
    assert folder.read("ended.json")["why"] == "its money is used up"
    here.wait_for_nothing_of(launched.instance_id)


def test_an_extended_deadline_counts(here: Here) -> None:
    at = time.time() + 1.5
    launched = here.launch(order(deadline_at=at))
    here.provider.extend(launched.instance_id, at + 600)
    here.wait_for(launched.instance_id, SeenState.RUNNING)
    wait_for("the old deadline has passed", lambda: time.time() > at + 0.5)
    assert here.state(launched.instance_id) is SeenState.RUNNING


def test_a_child_that_leaves_its_parents_ends_with_the_instance(make_here: Callable[..., Here]) -> None:
    # As slurmstepd does: a session of its own, its parent gone, its environment cleared.
    here = make_here(start_command=("sh", "-c", "(setsid env -i sleep 601 &) ; sleep 600"))
    launched = here.launch(order())
    here.wait_for(launched.instance_id, SeenState.RUNNING)
    wait_for("all processes", lambda: len(here.processes(launched.instance_id)) >= 4)
    processes = here.processes(launched.instance_id)
    here.provider.terminate([launched.instance_id])
    here.wait_for(launched.instance_id, SeenState.ENDED)
    wait_for("all of them end", lambda: not [one for one in processes if family.alive(one)])


def test_an_instance_whose_own_process_was_killed_has_ended_and_leaves_nothing(
    make_here: Callable[..., Here],
) -> None:
    here = make_here(start_command=("sh", "-c", "(setsid env -i sleep 601 &) ; sleep 600"))
    launched = here.launch(order())
    folder = here.folder(launched.instance_id)
    wait_for("its family is known", lambda: len(here.family(launched.instance_id)) >= 3)
    processes = here.processes(launched.instance_id)
    os.kill(int(str(folder.read("begun.json")["pid"])), signal.SIGKILL)
    here.wait_for(launched.instance_id, SeenState.ENDED)
    wait_for("all of them end", lambda: not [one for one in processes if family.alive(one)])


def test_signals_that_were_blocked_where_it_was_launched_reach_its_children(here: Here) -> None:
    script = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); "
        "from pathlib import Path; "
        "from hetslurm.cloudburst.policy import *; from hetslurm.cloudburst.provider.protocol import Order; "
        "from hetslurm.cloudburst.provider.local.provider import *; "
        f"s = LocalSettings(Path({str(here.dir)!r}), start_command=('sleep', '600')); "
        "p = CloudPool('cloud', 'here', 'small', (Purchase.SPOT,), 10**6); "
        f"o = Order('cloud1', 1, 't', p, Purchase.SPOT, '', 10**6, {time.time() + 600}); "
        "LocalProvider(s).launch([o])"
    )
    subprocess.run([sys.executable, "-P", "-c", script], check=True, timeout=60)
    (seen,) = here.provider.seen()
    here.wait_for(seen.instance_id, SeenState.RUNNING)
    for pid, _ in here.processes(seen.instance_id):
        status = Path(f"/proc/{pid}/status").read_text()
        assert "SigBlk:\t0000000000000000" in status


def test_an_instance_survives_who_launched_it(here: Here) -> None:
    launched = here.launch(order())
    here.wait_for(launched.instance_id, SeenState.RUNNING)
    pid = int(str(here.folder(launched.instance_id).read("begun.json")["pid"]))
    assert os.getsid(pid) == pid
    assert os.getpgid(pid) != os.getpgid(0)


def test_a_notice_is_told_to_the_node_and_to_us_and_kept(here: Here) -> None:
    launched = here.launch(order())
    here.wait_for(launched.instance_id, SeenState.RUNNING)
    folder = here.folder(launched.instance_id)
    at = time.time() + 1.0
    give_notice(folder.path, at)
    assert here.provider.seen()[0].notice_at == pytest.approx(at)
    environs = [Path(f"/proc/{pid}/environ").read_text() for pid, _ in here.processes(launched.instance_id)]
    assert any(f"HETSLURM_NOTICE_FILE={folder.path}/notice.json" in environ for environ in environs)
    here.wait_for(launched.instance_id, SeenState.ENDED)
    ended_at = folder.ended_at()
    assert ended_at is not None
    assert ended_at >= at
    assert folder.read("ended.json")["why"] == "taken away"


def test_a_lost_instance_is_in_no_list_and_leaves_nothing(here: Here) -> None:
    launched = here.launch(order())
    here.wait_for(launched.instance_id, SeenState.RUNNING)
    lose(here.folder(launched.instance_id).path)
    here.wait_for(launched.instance_id, None)
    here.wait_for_nothing_of(launched.instance_id)


def test_an_instance_whose_folder_is_removed_ends(here: Here) -> None:
    launched = here.launch(order())
    here.wait_for(launched.instance_id, SeenState.RUNNING)
    processes = here.processes(launched.instance_id)
    shutil.rmtree(here.folder(launched.instance_id).path)
    wait_for("all of them end", lambda: not [one for one in processes if family.alive(one)])


def test_capacity_is_counted_and_comes_back(make_here: Callable[..., Here]) -> None:
    here = make_here(capacity=2)
    first = here.launch(order("cloud1"))
    here.launch(order("cloud2"))
    refused = here.provider.launch([order("cloud3")])["c-cloud3-1"]
    assert isinstance(refused, ProviderError)
    assert refused.trouble is Trouble.CAPACITY
    here.provider.terminate([first.instance_id])
    here.wait_for(first.instance_id, SeenState.ENDED)
    here.launch(order("cloud3"))


def test_every_offering_has_its_price(here: Here) -> None:
    prices = {quote.purchase: quote.price_micro for quote in here.provider.quotes(POOL)}
    assert prices == {Purchase.SPOT: 100_000, Purchase.ON_DEMAND: 300_000}


def test_to_end_what_is_gone_is_no_error(here: Here) -> None:
    assert here.provider.terminate(["local-never", "../../etc"]) == {}
