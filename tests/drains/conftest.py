"""A room on a real Slurm, whose findings the test writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.slurm.commands import CommandAdapter

from .scenes import Room

MakeRoom = Callable[..., tuple[Sandbox, Room]]
# Nothing is powered down by itself; a test may ask for it. The programs are there to be started.
POWER_SAVING = (
    "SuspendProgram=/bin/true",
    "ResumeProgram=/bin/true",
    "SuspendTime=86400",
    "SuspendTimeout=2",
    "ResumeTimeout=300",
    "SlurmctldParameters=power_save_interval=1,power_save_min_interval=1",
)


def _close(room: Room) -> None:
    """The ledger that is open at the end: a test may have started another controller."""
    room.ledger.close()


@pytest.fixture
def make_room(make_sandbox: Callable[..., Sandbox], tmp_path: Path) -> Iterator[MakeRoom]:
    """`make_room(nodes="cpu=4")`: a Slurm of its own and a controller's drains on it."""
    with ExitStack() as rooms:

        def make(nodes: str = "cpu=4", **spec: object) -> tuple[Sandbox, Room]:
            sandbox = make_sandbox(
                Spec(parse_nodes(nodes), plugins=False, controller=False, **spec)  # type: ignore[arg-type]
            )
            room = Room(CommandAdapter(slurm_conf=str(sandbox.layout.slurm_conf)), tmp_path)
            rooms.callback(_close, room)
            return sandbox, room

        yield make
