"""A probe's child may do what it likes: the agent learns how it ended, and nothing else happens."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hetslurm.agent.frames import MAX_FRAME
from hetslurm.agent.nursery import Nursery
from hetslurm.agent.runner import Runner
from hetslurm.clock import SystemClock
from hetslurm.errors import ProbeError
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState, Row, Sample

from .conftest import good, hang, is_alive, run_to_end, scripted, tells_pid, until

MakeRunner = Callable[..., tuple[Runner, Nursery]]


def _raw(data: bytes) -> Callable[[], Sample]:
    """Writes these bytes on the child's line, whatever the protocol says."""

    def write() -> Sample:
        for number, link in _open_files().items():
            if link.startswith("socket:"):
                os.write(number, data)
        return hang()

    return write


def _open_files() -> dict[int, str]:
    """What the descriptors of this process are."""
    links = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them
            links[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return links


def _pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_a_sample_comes_back_as_it_was_taken(make_runner: MakeRunner) -> None:
    runner, nursery = make_runner(lambda: good(load1=0.5, cpus=float("nan")))
    run = run_to_end(runner, nursery)
    assert run.sample.state is ProbeState.OK
    assert run.sample.rows[0].facts == {"id": "me"}
    assert run.sample.rows[0].values["load1"] == 0.5
    assert run.sample.rows[0].values["cpus"] != run.sample.rows[0].values["cpus"]
    assert 0 <= run.took_s < 30


def test_a_child_lives_on_from_run_to_run(make_runner: MakeRunner, tmp_path: Path) -> None:
    runner, nursery = make_runner(tells_pid(good, tmp_path / "pids"))
    for _ in range(3):
        run_to_end(runner, nursery)
    assert len(_pids(tmp_path / "pids")) == 3
    assert len(set(_pids(tmp_path / "pids"))) == 1


def test_a_child_that_hangs_and_ignores_sigterm_is_killed_at_its_deadline(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    runner, nursery = make_runner(tells_pid(hang, tmp_path / "pids"))
    run = run_to_end(runner, nursery, deadline_s=1.0)
    assert run.sample.state is ProbeState.TIMED_OUT
    assert "no answer after 1." in run.sample.message
    until(lambda: not any(map(is_alive, _pids(tmp_path / "pids"))), "the child's death")


def test_a_new_child_follows_one_that_was_killed(make_runner: MakeRunner, tmp_path: Path) -> None:
    marker = tmp_path / "hung"

    def hang_once() -> Sample:
        if marker.exists():
            return good(load1=1.0)
        marker.touch()
        return hang()

    runner, nursery = make_runner(hang_once)
    assert run_to_end(runner, nursery, deadline_s=1.0).sample.state is ProbeState.TIMED_OUT
    until(lambda: not runner.stuck or any(runner.gone(e.how) for e in nursery.take()), "the child's end")
    assert run_to_end(runner, nursery).sample.state is ProbeState.OK


def test_a_child_that_cannot_be_killed_has_no_successor(make_nursery: Callable[..., Nursery]) -> None:
    class Powerless(Nursery):
        def kill(self, child: int) -> None:
            """As when it waits inside the kernel for ever."""

    nursery = make_nursery(scripted(hang), Powerless)
    runner = Runner("host", AgentSite(), nursery, SystemClock())
    assert run_to_end(runner, nursery, deadline_s=0.5).sample.state is ProbeState.TIMED_OUT
    assert runner.stuck
    assert not runner.busy
    assert runner.due_at() is None
    runner.stop()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_child_that_crashes_is_named_with_its_signal(
    make_runner: MakeRunner, number: signal.Signals
) -> None:
    def crash() -> Sample:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)
        return hang()

    runner, nursery = make_runner(crash)
    run = run_to_end(runner, nursery)
    assert (run.sample.state, run.sample.message) == (ProbeState.CRASHED, f"died of {number.name}")


def test_a_child_that_leaves_without_a_word_crashed(make_runner: MakeRunner) -> None:
    def leave() -> Sample:
        os._exit(3)

    runner, nursery = make_runner(leave)
    run = run_to_end(runner, nursery)
    assert (run.sample.state, run.sample.message) == (ProbeState.CRASHED, "ended by itself with code 3")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\xff\xff\xff\xff", "at most"),
        ((MAX_FRAME + 1).to_bytes(4, "little") + b"x" * 100, "at most"),
        (b"\x05\x00\x00\x00hello", "no answer"),
        (b"\x05\x00\x00\x00hello and more", "more than one"),
        (b"\x08\x00\x00\x00\x95\x09\xca\x00\x00\x00\x00\x01", "no answer"),
    ],
)
def test_garbage_and_floods_are_crashes_and_killed(
    make_runner: MakeRunner, tmp_path: Path, data: bytes, word: str
) -> None:
    runner, nursery = make_runner(tells_pid(_raw(data), tmp_path / "pids"))
    run = run_to_end(runner, nursery)
    assert run.sample.state is ProbeState.CRASHED
    assert word in run.sample.message
    until(lambda: not any(map(is_alive, _pids(tmp_path / "pids"))), "the child's death")


def test_an_answer_that_is_too_large_costs_no_more_than_its_bound(make_runner: MakeRunner) -> None:
    runner, nursery = make_runner(lambda: Sample("host", ProbeState.FAILED, (), "x" * (8 << 20)))
    run = run_to_end(runner, nursery)
    assert run.sample.state is ProbeState.CRASHED
    assert "at most" in run.sample.message


def test_what_a_library_prints_reaches_nobody(
    make_runner: MakeRunner, capfd: pytest.CaptureFixture[str]
) -> None:
    def chatter() -> Sample:
        os.write(1, b"[XRT] ERROR" * 100_000)
        os.write(2, b"[XRT] ERROR" * 100_000)
        print("and from Python", file=sys.stderr)
        return good(load1=1.0)

    runner, nursery = make_runner(chatter)
    assert run_to_end(runner, nursery).sample.state is ProbeState.OK
    assert capfd.readouterr() == ("", "")


def test_an_exception_is_an_answer(make_runner: MakeRunner) -> None:
    def refuse() -> Sample:
        raise ProbeError("the driver is older than the library")

    def stumble() -> Sample:
        raise KeyError("temperature")

    runner, nursery = make_runner(refuse)
    run = run_to_end(runner, nursery)
    assert (run.sample.state, run.sample.message) == (
        ProbeState.FAILED,
        "the driver is older than the library",
    )
    runner, nursery = make_runner(stumble)
    assert run_to_end(runner, nursery).sample.message == "KeyError: 'temperature'"


def test_what_is_no_sample_is_a_failure(make_runner: MakeRunner) -> None:
    runner, nursery = make_runner(lambda: Sample("host", ProbeState.OK, (Row({"load1": object()}),)))  # type: ignore[dict-item]
    assert run_to_end(runner, nursery).sample.state is ProbeState.FAILED


def test_a_child_has_its_own_line_and_nothing_of_the_agents(make_runner: MakeRunner) -> None:
    def count() -> Sample:
        links = list(_open_files().values())
        sockets = sum(link.startswith("socket:") for link in links)
        others = [link for link in links if not link.startswith(("socket:", "pipe:", "/dev/null", "/proc"))]
        return Sample("host", ProbeState.OK, (Row({"load1": sockets, "cpus": len(others)}),))

    with Path(__file__).open():
        runner, nursery = make_runner(count)
    assert run_to_end(runner, nursery).sample.rows[0].values == {"load1": 1, "cpus": 0}


def test_what_a_child_started_is_killed_with_it(make_runner: MakeRunner, tmp_path: Path) -> None:
    def start_and_hang() -> Sample:
        helper = subprocess.Popen(["sleep", "3600"])
        (tmp_path / "helper").write_text(str(helper.pid))
        return hang()

    runner, _ = make_runner(start_and_hang)
    runner.ask("sample", 30.0)
    until(lambda: _pids(tmp_path / "helper"), "the child's child")
    runner.stop()
    until(lambda: not is_alive(_pids(tmp_path / "helper")[0]), "the death of the child's child")


def test_the_end_of_the_nursery_is_an_error_not_a_wait(make_runner: MakeRunner) -> None:
    runner, nursery = make_runner(hang)
    runner.ask("sample", 30.0)
    os.kill(nursery.pid, signal.SIGKILL)

    def is_noticed() -> bool:
        try:
            nursery.take()
        except ProbeError:
            return True
        return False

    until(is_noticed, "an error")


def test_children_die_with_the_nursery(make_runner: MakeRunner, tmp_path: Path) -> None:
    runner, nursery = make_runner(tells_pid(hang, tmp_path / "pids"))
    runner.ask("sample", 30.0)
    until(lambda: _pids(tmp_path / "pids"), "a child")
    os.kill(nursery.pid, signal.SIGKILL)
    until(lambda: not is_alive(_pids(tmp_path / "pids")[0]), "the child's death")


def test_closing_ends_children_that_hang(make_runner: MakeRunner, tmp_path: Path) -> None:
    runner, nursery = make_runner(tells_pid(hang, tmp_path / "pids"))
    runner.ask("sample", 30.0)
    until(lambda: _pids(tmp_path / "pids"), "a child")
    begun = time.monotonic()
    nursery.close()
    assert not is_alive(_pids(tmp_path / "pids")[0])
    assert time.monotonic() - begun < 10
