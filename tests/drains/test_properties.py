"""Whatever admins, Slurm and failures do, and in whatever order: what drains never do."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hetslurm.cluster import Cluster, Partition
from hetslurm.health.drain_entry import HANDS_OFF, PREFIX, is_drained
from hetslurm.slurm.fake import FakeSlurm

from .scenes import Room, finding, health_site, node

# Few enough that events meet on a node, enough for a share and a burst.
NAMES = tuple(f"n{i}" for i in range(1, 6))
PARTITIONS = (Partition("a", NAMES[:4]), Partition("b", NAMES[2:]))
SHARE = 0.5
ADMIN = "ann"


@dataclass(slots=True)
class Slurm(FakeSlurm):
    """A Slurm that watches who touches what; `admins` are the nodes whose drain is an admin's."""

    admins: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)

    def drain_node(self, name: str, reason: str) -> None:
        """Ours, always: admins write through `admin_drains`."""
        before = self.read_node(name)
        assert name not in self.admins, f"{before} was an admin's"
        assert not before.reason
        assert not is_drained(before)
        assert not before.state & HANDS_OFF
        assert name not in self.silent
        assert reason.startswith(PREFIX)
        FakeSlurm.drain_node(self, name, reason)

    def resume_node(self, name: str) -> None:
        """Ours, always."""
        assert name not in self.admins
        assert self.read_node(name).reason.startswith(PREFIX)
        FakeSlurm.resume_node(self, name)

    def admin_drains(self, name: str) -> None:
        """He overwrites whatever is there."""
        self.user, ours = ADMIN, self.user
        FakeSlurm.drain_node(self, name, "ticket 12")
        self.user = ours
        self.admins.add(name)

    def admin_resumes(self, name: str) -> None:
        """He takes any drain back."""
        FakeSlurm.resume_node(self, name)
        self.admins.discard(name)

    def power(self, name: str, flag: str) -> None:
        """Powering down drops a drain and keeps its reason; powering up drops that as well."""
        now = self.read_node(name)
        self.admins.discard(name)
        if flag == "POWERED_DOWN":
            self.put_node(replace(now, state=frozenset({"IDLE", flag})))
        else:
            self.put_node(node(name, f"IDLE+{flag}" if flag else "IDLE"))


_MUCH = st.sampled_from(["fail", "heal", "drain", "wait", "wait"])
_SOME = st.sampled_from(["hush", "speak", "resume", "POWERED_DOWN", "POWERING_UP", "up"])
_RARE = st.sampled_from(["controller", "slurmctld", "dry-run", "on", "on"])
_EVENTS = st.tuples(st.one_of(_MUCH, _MUCH, _MUCH, _SOME, _SOME, _RARE), st.sampled_from(NAMES))


def _happen(room: Room, slurm: Slurm, saved: Cluster, what: str, name: str) -> None:
    match what:
        case "fail":
            room.failing.setdefault(name, [finding(since=room.clock.now())])
        case "heal":
            room.heal(name)
        case "hush":
            slurm.silent.add(name)
        case "speak":
            slurm.silent.discard(name)
        case "drain":
            slurm.admin_drains(name)
        case "resume":
            slurm.admin_resumes(name)
        case "wait":
            _cycle(room, slurm)
            room.clock.shift += 70
        case "controller":
            room.restart()
        case "slurmctld":
            # It comes back with the state that it saved at the beginning: all drains are lost, admins' too.
            slurm.cluster = replace(saved, read_at=room.clock.now())
            slurm.admins.clear()
            slurm.started_at = float(int(room.clock.now()))
            slurm.node_updates = 0
        case "dry-run" | "on":
            room.site = replace(room.site, drain=replace(room.site.drain, mode=what))
        case _:
            slurm.power(name, "" if what == "up" else what)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(_EVENTS, st.booleans()), min_size=10, max_size=60), st.sampled_from([0.3, 1.0]))
def test_no_admin_s_drain_is_touched_no_share_exceeded_and_no_silent_node_drained(
    events: list[tuple[tuple[str, str], bool]], burst_share: float
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        saved = Cluster("c", (22, 5, 8), 0.0, tuple(node(n) for n in NAMES), PARTITIONS, ())
        slurm = Slurm(saved)
        room = Room(slurm, Path(folder), site=health_site(pool_share=SHARE, burst_share=burst_share))
        try:
            for (what, name), has_cycle in events:
                room.clock.shift += 2
                slurm.now = float(int(room.clock.now()))
                _happen(room, slurm, saved, what, name)
                if has_cycle:
                    _cycle(room, slurm)
        finally:
            room.ledger.close()


def _cycle(room: Room, slurm: Slurm) -> None:
    before = {n.name: n for n in slurm.cluster.nodes if n.name in slurm.admins}
    room.silent = set(slurm.silent)
    slurm.cluster = replace(slurm.cluster, read_at=room.clock.now())
    room.cycle()
    after = {n.name: n for n in slurm.cluster.nodes}
    assert all(after[name] == was for name, was in before.items())
    ours = {n.name for n in after.values() if is_drained(n) and n.reason.startswith(PREFIX)}
    for partition in PARTITIONS:
        assert len(ours & set(partition.nodes)) <= max(1, int(SHARE * len(partition.nodes)))


@settings(max_examples=60)
@given(st.lists(st.sampled_from(NAMES), unique=True), st.lists(st.sampled_from(NAMES), unique=True))
def test_what_fails_is_drained_and_what_recovers_is_given_back(failing: list[str], admins: list[str]) -> None:
    """Not only never wrong: with room in the pools, the work is done."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        slurm = Slurm(Cluster("c", (22, 5, 8), 0.0, tuple(node(n) for n in NAMES), PARTITIONS, ()))
        room = Room(slurm, Path(folder), site=health_site(pool_share=1.0, burst_share=1.0))
        try:
            for name in admins:
                slurm.admin_drains(name)
            room.fail(*failing)
            room.cycle()
            ours = {n.name for n in slurm.cluster.nodes if n.reason.startswith(PREFIX)}
            assert ours == set(failing) - set(admins)
            room.heal(*failing)
            room.clear()
            assert {n.name for n in slurm.cluster.nodes if is_drained(n)} == set(admins)
        finally:
            room.ledger.close()
