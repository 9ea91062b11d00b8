"""An admin's own program: asked in JSON, its words sorted, whatever it does."""

from __future__ import annotations

import json
import stat
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock, SystemClock
from hetslurm.cloudburst.policy import ProviderSite, Purchase
from hetslurm.cloudburst.provider.exec import ExecProvider, open_provider
from hetslurm.cloudburst.provider.protocol import Order, ProviderError, Seen, SeenState, Trouble
from hetslurm.errors import ConfigError

from .conftest import POOL, order, wait_for

EXAMPLE = Path(__file__).parents[2] / "examples" / "burst_exec_rack.py"
THERE = {
    "instance_id": "vm-7",
    "state": "running",
    "node": "cloud1",
    "generation": 1,
    "token": "c-cloud1-1",
    "purchase": "spot",
    "price_micro": 7,
    "launched_at": 5.0,
}
Says = Callable[..., ExecProvider]


@pytest.fixture
def says(tmp_path: Path) -> Says:
    """`says(answer)`: a program that answers so, whatever it is asked; what it was asked is in `asked`."""

    def make(answer: object, *, status: int = 0, err: str = "", timeout_s: float = 30.0) -> ExecProvider:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        (tmp_path / "answer").write_text(text)
        (tmp_path / "err").write_text(err)
        script = f"cat >{tmp_path}/asked; cat {tmp_path}/err >&2; cat {tmp_path}/answer; exit {status}"
        return ExecProvider(["/bin/sh", "-c", script], FixedClock(9.0), timeout_s=timeout_s)

    return make


def trouble_of(call: Callable[[], object]) -> ProviderError:
    """The call must fail."""
    with pytest.raises(ProviderError) as caught:
        call()
    return caught.value


def test_an_order_is_told_in_whole_and_its_instance_comes_back(says: Says, tmp_path: Path) -> None:
    provider = says({"version": 1, "launched": [THERE]})
    wanted = order(deadline_at=99.0, tags={"job": "17"})
    seen = provider.launch([wanted])["c-cloud1-1"]
    assert isinstance(seen, Seen)
    assert (seen.instance_id, seen.state, seen.purchase) == ("vm-7", SeenState.RUNNING, Purchase.SPOT)
    assert json.loads((tmp_path / "asked").read_text()) == {
        "version": 1,
        "verb": "launch",
        "orders": [
            {
                "node": "cloud1",
                "generation": 1,
                "token": "c-cloud1-1",
                "partition": "cloud",
                "instance_type": "small",
                "region": "",
                "purchase": "spot",
                "zone": "",
                "max_price_micro": 1_000_000,
                "deadline_at": 99.0,
                "tags": {"job": "17"},
            }
        ],
    }


def test_prices_that_are_not_dated_are_from_now(says: Says) -> None:
    price = {"instance_type": "small", "purchase": "spot", "price_micro": 7}
    (quote,) = says({"version": 1, "quotes": [price]}).quotes(POOL)
    assert (quote.price_micro, quote.on_demand_micro, quote.seen_at, quote.zone) == (7, 7, 9.0, "")


def test_every_order_can_fail_for_a_reason_of_its_own(says: Says) -> None:
    failed = {"token": "c-cloud2-1", "trouble": "quota", "message": "ask for more", "code": "Q1"}
    answers = says({"version": 1, "launched": [THERE], "failed": [failed]}).launch([order(), order("cloud2")])
    assert isinstance(answers["c-cloud1-1"], Seen)
    error = answers["c-cloud2-1"]
    assert isinstance(error, ProviderError)
    assert (error.trouble, error.code) == (Trouble.QUOTA, "Q1")
    assert "ask for more" in str(error)


def test_instances_that_nobody_ordered_are_not_taken_for_an_answer(says: Says) -> None:
    assert says({"version": 1, "launched": [THERE]}).launch([order("cloud2")]) == {}


@pytest.mark.parametrize("trouble", list(Trouble))
def test_its_own_word_for_a_trouble_counts(says: Says, trouble: Trouble) -> None:
    provider = says({"version": 1, "error": {"trouble": trouble, "message": "no"}}, status=1)
    assert trouble_of(provider.seen).trouble is trouble


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (1, "unavailable"),
        (75, "unavailable"),
        (78, "configuration"),
        (126, "configuration"),
        (127, "configuration"),
    ],
)
def test_without_an_answer_the_exit_status_counts(says: Says, status: int, trouble: str) -> None:
    error = trouble_of(says("", status=status, err="first\nno such key\n").seen)
    assert error.trouble == trouble
    assert "no such key" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{",
        "[]",
        '{"version": 2, "launched": []}',
        '{"launched": []}',
        {"version": 1, "launched": [THERE | {"price_micro": 0.5}]},
        {"version": 1, "launched": [THERE | {"price_micro": -1}]},
        {"version": 1, "launched": [THERE | {"state": "happy"}]},
        {"version": 1, "launched": [{**THERE, "token": None}]},
    ],
)
def test_an_answer_that_cannot_be_read_may_have_happened(says: Says, answer: object) -> None:
    assert trouble_of(lambda: says(answer).launch([order()])).trouble is Trouble.UNAVAILABLE


def test_a_list_that_is_missing_is_not_an_empty_one(says: Says) -> None:
    assert trouble_of(says({"version": 1}).seen).trouble is Trouble.UNAVAILABLE
    assert says({"version": 1, "instances": []}).seen() == ()


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = f"sleep 604 & echo $! >{tmp_path}/pid; wait"
    provider = ExecProvider(["/bin/sh", "-c", script], SystemClock(), timeout_s=1.0)
    begun = time.monotonic()
    assert trouble_of(provider.seen).trouble is Trouble.UNAVAILABLE
    assert time.monotonic() - begun < 20
    pid = int((tmp_path / "pid").read_text())
    wait_for("its child ends", lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_a_program_that_is_not_there_is_a_wrong_configuration() -> None:
    error = trouble_of(ExecProvider(["/nowhere/burst"], SystemClock()).seen)
    assert error.trouble is Trouble.CONFIGURATION
    assert "/nowhere/burst cannot be run: No such file" in str(error)


def test_a_policy_without_a_program_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="needs command"):
        open_provider(ProviderSite("mine", "exec"), SystemClock())


@pytest.fixture
def rack(tmp_path: Path) -> ExecProvider:
    """The example, with machines that are files."""
    power = tmp_path / "power"
    power.write_text(
        f'#!/bin/sh\ncd {tmp_path}\necho "$@" >>said\ncase $1 in\n'
        'on) echo "$3" >"$2.on" ;;\noff) rm -f "$2.on" ;;\nstatus) test -e "$2.on" ;;\nesac\n'
    )
    power.chmod(power.stat().st_mode | stat.S_IXUSR)
    command = (sys.executable, str(EXAMPLE), str(tmp_path / "rack"), str(power), "250000")
    site = ProviderSite("rack", "exec", {"command": command, "timeout_s": 30.0})
    return open_provider(site, SystemClock())


def launched(provider: ExecProvider, orders: Sequence[Order]) -> list[Seen]:
    """All of them must be had."""
    answers = list(provider.launch(orders).values())
    assert all(isinstance(answer, Seen) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Seen)]


def test_the_example_switches_machines_on_and_off(rack: ExecProvider, tmp_path: Path) -> None:
    assert {quote.price_micro for quote in rack.quotes(POOL)} == {250_000}
    (seen,) = launched(rack, [order("rack1", deadline_at=5e9)])
    assert (tmp_path / "rack1.on").read_text() == "5000000000\n"
    assert [one.state for one in rack.seen()] == [SeenState.RUNNING]
    rack.extend(seen.instance_id, 6e9)
    assert (tmp_path / "rack1.on").read_text() == "6000000000\n"
    assert rack.terminate([seen.instance_id, "never"]) == {}
    assert not (tmp_path / "rack1.on").exists()
    assert [one.state for one in rack.seen()] == [SeenState.ENDED]


def test_the_examples_tokens_are_one_instance_each(rack: ExecProvider, tmp_path: Path) -> None:
    first = launched(rack, [order("rack1")])
    assert launched(rack, [order("rack1")]) == first
    refused = rack.launch([order("rack1", 2)])["c-rack1-2"]
    assert isinstance(refused, ProviderError)
    assert refused.trouble is Trouble.CAPACITY
    (tmp_path / "rack1.on").unlink()
    assert [one.state for one in rack.seen()] == [SeenState.ENDED]
    launched(rack, [order("rack1", 2)])


def test_the_example_is_never_dearer_than_allowed(rack: ExecProvider) -> None:
    refused = rack.launch([replace(order("rack1"), max_price_micro=249_999)])["c-rack1-1"]
    assert isinstance(refused, ProviderError)
    assert refused.trouble is Trouble.PRICE
