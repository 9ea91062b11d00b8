"""Whatever admins, Slurm and failures do, and in whatever order: a node ends with its admin's last weight."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hetslurm.errors import SlurmRefused
from hetslurm.health.steer_rules import KEEP_S, MOST_WEIGHT, Band, raised
from hetslurm.slurm.fake import FakeSlurm

from .scenes import Room, cluster_of, node

NAMES = ("n1", "n2", "n3")
CONFIGURED = {"n1": 1, "n2": 1, "n3": 7}


class Killed(BaseException):
    """kill -9."""


@dataclass(slots=True)
class Slurm(FakeSlurm):
    """A Slurm that knows what each node's weight is without us (`own`), and fails once as told."""

    own: dict[str, int] = field(default_factory=lambda: dict(CONFIGURED))
    fails: str = ""

    def set_node_weight(self, names: Sequence[str], weight: int) -> None:
        """Ours, always: admins write through `admin_sets`."""
        fails, self.fails = self.fails, ""
        if fails == "killed before":
            raise Killed
        if fails == "refused":
            raise SlurmRefused("no")
        assert all(weight in {raised(self.own[name], band) for band in Band} for name in names)
        FakeSlurm.set_node_weight(self, names, weight)
        if fails == "killed after":
            raise Killed

    def admin_sets(self, name: str, weight: int) -> None:
        """Whatever is there."""
        FakeSlurm.set_node_weight(self, [name], weight)
        self.own[name] = weight

    def restart(self) -> None:
        """slurmctld comes back with slurm.conf's weights."""
        self.own = dict(CONFIGURED)
        for name, weight in CONFIGURED.items():
            self.put_node(replace(self.read_node(name), weight=weight))


_HEALTH = st.tuples(st.just("health"), st.sampled_from(NAMES), st.sampled_from([0.0, 0.5, 0.5, 1.0, 1.0]))
_ADMIN = st.tuples(
    st.sampled_from(["admin", "late admin"]),
    st.sampled_from(NAMES),
    st.sampled_from([0, 1, 2, 50, MOST_WEIGHT - 3, MOST_WEIGHT + 9]),
)
_OTHER = st.tuples(
    st.sampled_from(
        ["slurmctld", "controller", "wait", "hush", "speak", "on", "off", "refused", "killed before"]
    ),
    st.sampled_from(NAMES),
    st.just(0),
)
_KILLED = st.tuples(st.just("killed after"), st.just("n1"), st.just(0))


def _happen(room: Room, slurm: Slurm, what: str, name: str, value: float) -> None:
    match what:
        case "health":
            room.health[name] = value
        case "admin":
            slurm.admin_sets(name, int(value))
        case "slurmctld":
            slurm.restart()
        case "controller":
            room.restart()
        case "wait":
            room.clock.at += KEEP_S + 1
        case "hush":
            room.unknown.add(name)
        case "speak":
            room.unknown.discard(name)
        case "on" | "off":
            room.site = replace(room.site, steer=what == "on")
        case _:
            slurm.fails = what


def _cycle(room: Room, slurm: Slurm, late: tuple[str, int] | None = None) -> None:
    room.clock.at += 2
    seen = slurm.read_cluster()
    if late is not None:  # after Slurm was read, before anything is set
        slurm.admin_sets(*late)
    try:
        room.cycle(seen)
    except Killed:
        room.restart()
    for name, weight in room.weights().items():
        assert weight in {raised(slurm.own[name], band) for band in Band}


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.one_of(_HEALTH, _HEALTH, _ADMIN, _OTHER, _KILLED), st.booleans()), max_size=40))
def test_the_weight_that_comes_back_is_always_the_admin_s_last(
    events: list[tuple[tuple[str, str, float], bool]],
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        slurm = Slurm(cluster_of(*(node(name, weight) for name, weight in CONFIGURED.items())))
        room = Room(slurm, Path(folder))
        try:
            for (what, name, value), has_cycle in events:
                if what == "late admin":
                    _cycle(room, slurm, (name, int(value)))
                    continue
                _happen(room, slurm, what, name, value)
                if has_cycle:
                    _cycle(room, slurm)
            slurm.fails = ""
            room.unknown.clear()
            room.health = {"n1": 0.5, "n2": 0.1}
            room.site = replace(room.site, steer=True)
            for _ in range(3):
                room.clock.at += 400  # beyond any back-off
                _cycle(room, slurm)
            levels = {"n1": Band.POORLY, "n2": Band.SICK, "n3": Band.WELL}
            assert room.weights() == {name: raised(slurm.own[name], band) for name, band in levels.items()}
            room.health.clear()
            for _ in range(3):
                room.clock.at += 400
                _cycle(room, slurm)
            assert room.weights() == slurm.own
            assert dict(room.ledger.entries()) == {}
        finally:
            room.ledger.close()
