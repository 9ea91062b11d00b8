"""The mount probe: what the admin wants mounted, judged also while a server is dead."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hetslurm.host.mounts import MountProbe
from hetslurm.site import AgentSite
from hetslurm.telemetry import MOUNT, ProbeState, Row

TABLE = """\
28 1 259:3 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p3 rw
52 28 0:45 / /home rw,relatime shared:40 - nfs4 home.cluster:/export/home rw,vers=4.2,hard
55 28 0:50 / /scratch rw,flock shared:44 - lustre 10.10.0.1@o2ib:/scratch rw,flock
57 28 0:52 / /misc rw,relatime shared:46 - autofs /etc/auto.misc rw,fd=7,indirect
"""
SPACE = SimpleNamespace(f_blocks=100, f_bfree=40, f_bavail=40, f_files=0, f_ffree=0)
Stat = Callable[[str], Any]


class DeadServer:
    """Holds whoever asks below `path` until it is released, as a hard NFS mount does."""

    def __init__(self, path: str) -> None:
        self.asked = 0
        self.released = threading.Event()
        self._path = path

    def stat(self, path: str) -> Any:
        """Like os.statvfs, except for what is dead."""
        if path.endswith(self._path):
            self.asked += 1
            self.released.wait()
        return SPACE


@pytest.fixture
def dead_home() -> Iterator[DeadServer]:
    """/home does not answer."""
    server = DeadServer("/home")
    yield server
    server.released.set()


@pytest.fixture
def make_probe(make_tree) -> Callable[..., MountProbe]:  # type: ignore[no-untyped-def]
    """`make_probe("/home", …, stat=…, table=…, deadline_s=…, fstab=…)`."""

    def make(
        *mounts: str,
        stat: Stat = lambda path: SPACE,
        table: str = TABLE,
        fstab: str = "",
        deadline_s: float = 60.0,
    ) -> MountProbe:
        root: Path = make_tree({"proc/self/mountinfo": table, "etc/fstab": fstab})
        return MountProbe(AgentSite(mounts=frozenset(mounts), deadline_s=deadline_s), root, stat=stat)

    return make


def _rows(probe: MountProbe) -> Mapping[str, Row]:
    sample = probe.sample()
    assert sample.state == ProbeState.OK
    for row in sample.rows:
        assert set(row.values) <= {metric.name for metric in MOUNT}
    return {row.facts["id"]: row for row in sample.rows}


def _known(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.values.items() if not math.isnan(value) and name != "answer_s"}


def test_a_mount_that_answers_is_alive_and_shows_how_full_it_is(make_probe) -> None:  # type: ignore[no-untyped-def]
    row = _rows(make_probe("/home"))["/home"]
    assert _known(row) == {"mounted": 1, "alive": 1, "read_only": 0, "used_ratio": 0.6}
    assert row.values["answer_s"] >= 0
    assert row.facts == {"id": "/home", "type": "nfs4", "source": "home.cluster:/export/home"}


def test_a_mount_that_is_not_there_is_not_asked(make_probe) -> None:  # type: ignore[no-untyped-def]
    def nobody(path: str) -> Any:
        raise AssertionError(path)

    row = _rows(make_probe("/data", stat=nobody))["/data"]
    assert row.values == {"mounted": 0.0}


def test_rows_come_in_the_order_of_their_paths(make_probe) -> None:  # type: ignore[no-untyped-def]
    assert list(_rows(make_probe("/scratch/", "/home", "/"))) == ["/", "/home", "/scratch"]


@pytest.mark.parametrize("number", [5, 107, 116])
def test_a_mount_that_answers_with_an_error_is_not_alive(make_probe, number: int) -> None:  # type: ignore[no-untyped-def]
    def stale(path: str) -> Any:
        raise OSError(number, "Stale file handle")

    row = _rows(make_probe("/home", stat=stale))["/home"]
    assert _known(row) == {"mounted": 1, "alive": 0, "read_only": 0}
    assert row.facts["error"] == "Stale file handle"


def test_a_mount_that_the_agent_may_not_ask_is_unknown(make_probe) -> None:  # type: ignore[no-untyped-def]
    def forbidden(path: str) -> Any:
        raise PermissionError(13, "Permission denied")

    assert _known(_rows(make_probe("/home", stat=forbidden))["/home"]) == {"mounted": 1, "read_only": 0}


def test_a_hung_mount_leaves_the_others_judged(make_probe, dead_home: DeadServer) -> None:  # type: ignore[no-untyped-def]
    rows = _rows(make_probe("/home", "/scratch", stat=dead_home.stat, deadline_s=2.5))
    assert _known(rows["/home"]) == {"mounted": 1, "alive": 0, "read_only": 0}
    assert rows["/home"].values["answer_s"] >= 1.0
    assert rows["/scratch"].values["alive"] == 1


def test_a_hung_mount_is_not_asked_again(make_probe, dead_home: DeadServer) -> None:  # type: ignore[no-untyped-def]
    probe = make_probe("/home", stat=dead_home.stat, deadline_s=0.1)
    waited = [_rows(probe)["/home"].values["answer_s"] for _ in range(5)]
    assert dead_home.asked == 1
    assert waited == sorted(waited)


def test_a_mount_that_hung_before_costs_the_others_no_time(make_probe, dead_home: DeadServer) -> None:  # type: ignore[no-untyped-def]
    probe = make_probe("/home", "/scratch", stat=dead_home.stat, deadline_s=0.1)
    _rows(probe)
    # Nobody waits for it any more: with a patience of hours, this returns.
    probe.patience_s = 36000.0
    assert _rows(probe)["/home"].values["alive"] == 0


def test_a_mount_that_answers_again_is_alive_again(make_probe, dead_home: DeadServer) -> None:  # type: ignore[no-untyped-def]
    probe = make_probe("/home", stat=dead_home.stat, deadline_s=0.1)
    assert _rows(probe)["/home"].values["alive"] == 0
    dead_home.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("statvfs"):
            thread.join()
    probe.patience_s = 60.0
    assert _rows(probe)["/home"].values["alive"] == 1
    assert dead_home.asked == 2


def test_a_mount_that_the_kernel_turned_read_only_is_found(make_probe) -> None:  # type: ignore[no-untyped-def]
    table = TABLE + "70 28 8:1 / /local rw - ext4 /dev/sda1 ro\n71 28 8:2 / /sets ro - ext4 /dev/sdb1 ro\n"
    rows = _rows(make_probe("/local", "/sets", table=table))
    assert rows["/local"].values["read_only"] == 1
    assert rows["/sets"].values["read_only"] == 0


def test_a_mount_that_fstab_wants_writable_is_found_read_only(make_probe) -> None:  # type: ignore[no-untyped-def]
    table = TABLE.replace("/ /home rw,", "/ /home ro,").replace("home rw,vers", "home ro,vers")
    fstab = "home.cluster:/export/home /home nfs4 hard,_netdev 0 0\n"
    assert _rows(make_probe("/home", table=table, fstab=fstab))["/home"].values["read_only"] == 1
    assert _rows(make_probe("/home", table=table))["/home"].values["read_only"] == 0


def test_a_mount_that_only_the_agents_own_unit_sees_read_only_is_well(make_probe) -> None:  # type: ignore[no-untyped-def]
    table = TABLE.replace("/ /home rw,", "/ /home ro,")
    fstab = "home.cluster:/export/home /home nfs4 hard,_netdev 0 0\n"
    assert _rows(make_probe("/home", table=table, fstab=fstab))["/home"].values["read_only"] == 0


def test_an_automounter_without_a_mount_is_not_mounted(make_probe) -> None:  # type: ignore[no-untyped-def]
    assert _rows(make_probe("/misc"))["/misc"].values["mounted"] == 0


def test_an_automounter_mounts_what_is_asked_for(make_probe) -> None:  # type: ignore[no-untyped-def]
    tables = []

    def trigger(path: str) -> Any:
        tables[0].write_text(TABLE + "80 57 0:99 / /misc rw - nfs4 misc:/ rw\n")
        return SPACE

    probe = make_probe("/misc", stat=trigger)
    tables.append(Path(probe._base) / "proc/self/mountinfo")
    row = _rows(probe)["/misc"]
    assert _known(row) == {"mounted": 1, "alive": 1, "read_only": 0, "used_ratio": 0.6}
    assert row.facts["type"] == "nfs4"


def test_without_configured_mounts_there_is_nothing_to_probe(make_probe) -> None:  # type: ignore[no-untyped-def]
    assert make_probe().sample().state == ProbeState.ABSENT


def test_without_a_table_nothing_is_said_of_any_mount(make_probe) -> None:  # type: ignore[no-untyped-def]
    sample = make_probe("/home", table="").sample()
    assert sample.state == ProbeState.FAILED
    assert sample.rows == ()
