"""Drains on a real Slurm: admins, races, restarts, bursts, power saving, running jobs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from hetslurm.health.drain_entry import PREFIX, State, is_drained
from hetslurm.sandbox import Sandbox, process
from hetslurm.slurm.commands import CommandAdapter

from .conftest import POWER_SAVING, MakeRoom
from .scenes import ECC, Room, health_site

pytestmark = pytest.mark.slurm
CHILD = Path(__file__).with_name("crash_child.py")


def _update(sandbox: Sandbox, node: str, *words: str) -> None:
    sandbox.run(["scontrol", "update", f"nodename={node}", *words])


def _shows(room: Room, name: str) -> tuple[bool, str]:
    """Whether the node is drained, and its reason."""
    node = room.adapter.read_node(name)
    return is_drained(node), node.reason


def _until(what: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.1)


def _is_idle(room: Room, name: str) -> bool:
    return room.adapter.read_node(name).state <= {"IDLE", "DRAIN"}


def test_a_bad_node_is_drained_with_our_reason_and_given_back_when_it_is_well(make_room: MakeRoom) -> None:
    _, room = make_room()
    room.fail("cpu1")
    room.cycle()
    is_out, reason = _shows(room, "cpu1")
    assert is_out
    assert reason.startswith(f"{PREFIX}{ECC} #")
    room.heal("cpu1")
    room.cycle()
    assert _shows(room, "cpu1")[0]
    room.clear()
    assert _shows(room, "cpu1") == (False, "")
    assert room.state("cpu1") is State.RELEASED
    assert [line["action"] for line in room.audit()] == ["drain", "undrain"]


def test_an_admin_s_drain_stays_whatever_is_found(make_room: MakeRoom) -> None:
    sandbox, room = make_room()
    _update(sandbox, "cpu1", "state=drain", "reason=ticket 12")
    room.fail("cpu1")
    assert room.cycle().withheld
    room.heal("cpu1")
    room.clear()
    assert _shows(room, "cpu1") == (True, "ticket 12")
    assert room.audit() == []


def test_a_reason_that_an_admin_changed_is_his_and_never_undrained(make_room: MakeRoom) -> None:
    sandbox, room = make_room()
    room.fail("cpu1")
    room.cycle()
    _update(sandbox, "cpu1", "reason=I look after it, ann")
    room.heal("cpu1")
    for _ in range(3):
        room.clear()
    assert _shows(room, "cpu1") == (True, "I look after it, ann")
    assert room.state("cpu1") is State.HANDED_OVER


def test_an_admin_s_resume_stands_though_the_finding_does_too(make_room: MakeRoom) -> None:
    sandbox, room = make_room()
    room.fail("cpu1")
    room.cycle()
    room.cycle()
    _update(sandbox, "cpu1", "state=resume")
    _until(lambda: _is_idle(room, "cpu1"))
    for _ in range(3):
        room.clear()
    assert _shows(room, "cpu1") == (False, "")
    assert room.state("cpu1") is State.RESUMED


class Racing(CommandAdapter):
    """An adapter beside which an admin drains the node just before we change it."""

    admin: Callable[[str], None] | None = None
    when = "drain"

    def drain_node(self, name: str, reason: str) -> None:
        """See SlurmAdapter."""
        if self.when == "drain" and self.admin:
            self.admin(name)
        super().drain_node(name, reason)

    def resume_node(self, name: str) -> None:
        """See SlurmAdapter."""
        if self.when == "undrain" and self.admin:
            self.admin(name)
        super().resume_node(name)


@pytest.mark.parametrize("when", ["drain", "undrain"])
def test_an_admin_s_drain_between_our_look_and_our_write_is_never_undone(
    make_room: MakeRoom, when: str
) -> None:
    sandbox, room = make_room("cpu=16")
    racing = Racing(slurm_conf=str(sandbox.layout.slurm_conf))
    racing.admin = lambda name: _update(sandbox, name, "state=drain", "reason=ticket 12")
    racing.when = when
    room.adapter = racing
    room.site = health_site(pool_share=1.0, burst_share=1.0)
    room.restart()
    names = [f"cpu{i}" for i in range(1, 9)]
    room.fail(*names)
    room.cycle()
    assert all(_shows(room, name)[0] for name in names)
    room.heal(*names)
    for _ in range(3):
        room.clear()
        assert all(_shows(room, name)[0] for name in names)
    assert {room.state(name) for name in names} == {State.HANDED_OVER}


@pytest.mark.parametrize("when", ["drain", "undrain"])
def test_two_writers_that_race_freely_never_cost_an_admin_his_drain(make_room: MakeRoom, when: str) -> None:
    """An admin drains the node somewhere in our act; whoever writes last, his drain is there at the end."""
    sandbox, room = make_room("cpu=1")
    environment = {**os.environ, **sandbox.environment}
    drain = ["scontrol", "update", "nodename=cpu1", "state=drain", "reason=ticket 12"]
    moments = Random(12)
    for turn in range(15):
        room.fail("cpu1", rule=f"rule {turn}")
        if when == "undrain":
            room.cycle()
            assert _shows(room, "cpu1")[0]
            room.heal("cpu1")
            room.cycle()
            room.clock.shift += room.site.drain.clear_s + 1
        pause = f'sleep {moments.uniform(0, 0.08)}; exec "$@"'
        admin = subprocess.Popen(["/bin/sh", "-c", pause, "sh", *drain], env=environment)
        room.cycle()
        assert admin.wait(timeout=60) == 0
        room.heal("cpu1")
        for _ in range(2):
            room.clear()
        assert _shows(room, "cpu1")[0], f"turn {turn}"
        _update(sandbox, "cpu1", "state=resume")
        _until(lambda: _is_idle(room, "cpu1"))
        room.cycle()


def test_a_restart_of_slurmctld_in_between_changes_nothing(make_room: MakeRoom) -> None:
    sandbox, room = make_room()
    room.fail("cpu1")
    room.cycle()
    _update(sandbox, "cpu2", "state=drain", "reason=ticket 12")
    sandbox.restart_slurmctld()
    _until(lambda: _is_idle(room, "cpu1"))
    room.cycle()
    assert _shows(room, "cpu1")[0]
    assert room.state("cpu1") is State.DRAINED
    room.heal("cpu1")
    room.clear()
    assert not _shows(room, "cpu1")[0]
    assert _shows(room, "cpu2") == (True, "ticket 12")


def _save(sandbox: Sandbox, folder: Path) -> Path:
    """What slurmctld saves when it ends in peace."""
    sandbox.restart_slurmctld()
    shutil.copytree(sandbox.root / "state", folder)
    _until(lambda: "IDLE" in sandbox.node("cpu1")["State"])
    return folder


def _kill_before_it_saves(sandbox: Sandbox, saved: Path) -> None:
    """slurmctld saves at intervals of seconds: what happened since is not on disk when it is killed."""
    process.end(sandbox.state.processes["slurmctld"], sig=signal.SIGKILL)
    shutil.rmtree(sandbox.root / "state")
    shutil.copytree(saved, sandbox.root / "state")
    sandbox.start_slurmctld()


def test_a_slurmctld_killed_before_it_saved_our_drain_gets_it_again(
    make_room: MakeRoom, tmp_path: Path
) -> None:
    sandbox, room = make_room()
    saved = _save(sandbox, tmp_path / "saved")
    room.fail("cpu1")
    room.cycle()
    _kill_before_it_saves(sandbox, saved)
    assert not _shows(room, "cpu1")[0]
    room.cycle()
    _until(lambda: _is_idle(room, "cpu1"))
    room.cycle()
    is_out, reason = _shows(room, "cpu1")
    assert is_out
    assert reason.startswith(PREFIX)
    assert room.state("cpu1") is State.DRAINED


def test_a_slurmctld_killed_before_it_saved_our_release_gives_the_node_back_all_the_same(
    make_room: MakeRoom, tmp_path: Path
) -> None:
    sandbox, room = make_room()
    room.fail("cpu1")
    room.cycle()
    saved = _save(sandbox, tmp_path / "saved")
    room.heal("cpu1")
    room.clear()
    assert not _shows(room, "cpu1")[0]
    _kill_before_it_saves(sandbox, saved)
    assert _shows(room, "cpu1")[0]
    _until(lambda: _is_idle(room, "cpu1"))
    room.cycle()
    room.clear()
    assert not _shows(room, "cpu1")[0]


def test_half_the_cluster_fails_at_once_and_the_breaker_holds(make_room: MakeRoom) -> None:
    _, room = make_room("cpu=12")
    room.site = health_site(burst_share=0.25, pool_share=1.0)
    names = [f"cpu{i}" for i in range(1, 7)]
    room.fail(*names)
    for _ in range(3):
        assert room.cycle().breaker_open
    assert not any(_shows(room, name)[0] for name in names)
    room.heal(*names[1:])
    assert not room.cycle().breaker_open
    assert [name for name in names if _shows(room, name)[0]] == ["cpu1"]


def test_dry_run_changes_nothing(make_room: MakeRoom) -> None:
    _, room = make_room()
    room.site = health_site(mode="dry-run")
    room.fail("cpu1")
    before = room.adapter.count_node_updates()
    assert room.cycle().would == (("cpu1", ECC),)
    assert room.adapter.count_node_updates() == before
    assert _shows(room, "cpu1") == (False, "")


def test_a_job_on_the_drained_node_goes_on_to_its_end(make_room: MakeRoom, tmp_path: Path) -> None:
    sandbox, room = make_room()
    mark = sandbox.root / "mark"
    script = f"#!/bin/sh\nwhile [ ! -e {mark} ]; do sleep 0.1; done\n"
    job = sandbox.submit(script, "-p", "cpu", "-w", "cpu1", "-o", "/dev/null")
    _until(lambda: sandbox.job(job)["JobState"] == "RUNNING")
    room.fail("cpu1")
    room.cycle()
    assert _shows(room, "cpu1")[0]
    assert sandbox.job(job)["JobState"] == "RUNNING"
    mark.touch()
    _until(lambda: sandbox.job(job)["JobState"] == "COMPLETED")
    later = sandbox.submit("#!/bin/sh\ntrue\n", "-p", "cpu", "-w", "cpu1", "-o", "/dev/null")
    _until(lambda: sandbox.job(later)["Reason"] != "None")
    assert sandbox.job(later)["JobState"] == "PENDING"
    assert "ReqNodeNotAvail" in sandbox.job(later)["Reason"]


def test_a_drain_that_power_saving_wiped_is_set_again_once_the_node_is_up(make_room: MakeRoom) -> None:
    sandbox, room = make_room(slurm_conf=POWER_SAVING)
    room.fail("cpu1")
    room.cycle()
    _update(sandbox, "cpu1", "state=power_down")
    _until(lambda: not _shows(room, "cpu1")[0])
    room.cycle()
    assert room.state("cpu1") is State.WIPED
    _until(lambda: "POWERED_DOWN" in room.adapter.read_node("cpu1").state)
    room.restart()
    before = room.adapter.count_node_updates()
    room.cycle()
    assert room.adapter.count_node_updates() == before
    _update(sandbox, "cpu1", "state=power_up")
    _until(lambda: "POWERING_UP" in room.adapter.read_node("cpu1").state)
    before = room.adapter.count_node_updates()
    room.cycle()
    assert room.adapter.count_node_updates() == before
    # What a ResumeProgram does: a machine that has just booted registers.
    process.end(sandbox.state.processes["slurmd-cpu1"])
    sandbox._start("slurmd-cpu1", ["slurmd", "-D", "-b", "-N", "cpu1"])
    _until(lambda: _is_idle(room, "cpu1"))
    room.cycle()
    is_out, reason = _shows(room, "cpu1")
    assert is_out
    assert reason.startswith(PREFIX)
    assert room.state("cpu1") is State.DRAINED


def test_a_node_in_a_maintenance_reservation_is_left_alone(make_room: MakeRoom) -> None:
    sandbox, room = make_room()
    words = "starttime=now duration=10 users=root nodes=cpu1 flags=maint"
    sandbox.run(["scontrol", "create", "reservation", *words.split()])
    _until(lambda: room.adapter.read_node("cpu1").state & {"MAINT", "MAINTENANCE"})
    room.fail("cpu1")
    assert room.cycle().withheld
    assert not _shows(room, "cpu1")[0]


@pytest.mark.parametrize(
    ("step", "is_out", "first"),
    [(0, False, State.WITHDRAWN), (1, False, State.WITHDRAWN), (2, True, State.DRAINED)],
)
def test_a_controller_killed_while_it_drains_is_put_right_by_the_next(
    make_room: MakeRoom, step: int, is_out: bool, first: State
) -> None:
    """Steps: before it looks at the node, before it drains it, before it looks again."""
    sandbox, room = make_room()
    room.ledger.close()
    _kill_in(sandbox, room, "drain", step)
    assert _shows(room, "cpu1")[0] is is_out
    room.start()
    assert room.state("cpu1") is State.INTENT
    room.cycle()
    assert room.state("cpu1") is first
    room.fail("cpu1")
    room.cycle()
    assert _shows(room, "cpu1")[0]
    room.heal("cpu1")
    room.clear()
    assert not _shows(room, "cpu1")[0]


@pytest.mark.parametrize(
    ("step", "is_out", "first"),
    [(0, True, State.DRAINED), (1, True, State.DRAINED), (2, False, State.RELEASED)],
)
def test_a_controller_killed_while_it_undrains_is_put_right_by_the_next(
    make_room: MakeRoom, step: int, is_out: bool, first: State
) -> None:
    sandbox, room = make_room()
    room.fail("cpu1")
    room.cycle()
    room.heal("cpu1")
    room.ledger.close()
    _kill_in(sandbox, room, "undrain", step)
    assert _shows(room, "cpu1")[0] is is_out
    room.start()
    assert room.state("cpu1") is State.RELEASING
    room.cycle()
    assert room.state("cpu1") is first
    room.clear()
    assert not _shows(room, "cpu1")[0]
    assert room.state("cpu1") is State.RELEASED


def _kill_in(sandbox: Sandbox, room: Room, act: str, step: int) -> None:
    command = [
        sys.executable,
        str(CHILD),
        str(sandbox.layout.slurm_conf),
        str(room.state_dir),
        act,
        str(step),
    ]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
