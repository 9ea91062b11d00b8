"""Local providers in folders of their own; whatever they started is gone after each test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.provider.local import family
from hetslurm.cloudburst.provider.local.folder import Folder
from hetslurm.cloudburst.provider.local.provider import LocalProvider
from hetslurm.cloudburst.provider.local.settings import LocalSettings
from hetslurm.cloudburst.provider.protocol import Order, Seen, SeenState

POOL = CloudPool(
    partition="cloud",
    provider="here",
    instance_type="small",
    purchases=(Purchase.SPOT, Purchase.ON_DEMAND),
    max_price_micro=1_000_000,
    boot_s=0.0,
)


def order(node: str = "cloud1", generation: int = 1, **changes: object) -> Order:
    """An order that nothing is wrong with."""
    plain = Order(
        node=node,
        generation=generation,
        token=f"c-{node}-{generation}",
        pool=POOL,
        purchase=Purchase.SPOT,
        zone="",
        max_price_micro=1_000_000,
        deadline_at=time.time() + 600,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def wait_for(what: str, check: Callable[[], object], *, patience_s: float = 30.0) -> None:
    """Until it is so; the test fails with `what` when it never is."""
    until = time.monotonic() + patience_s
    while not check():
        assert time.monotonic() < until, f"waited {patience_s:g} s in vain: {what}"
        time.sleep(0.02)


class Here:
    """A local provider and what a test wants to know of it."""

    def __init__(self, folder: Path, **settings: object) -> None:
        plain = {"dir": folder, "start_command": ("sleep", "600")} | settings
        self.settings = LocalSettings(**plain)  # type: ignore[arg-type]
        self.provider = LocalProvider(self.settings)
        self.dir = folder

    def launch(self, wanted: Order) -> Seen:
        """One instance that must be had."""
        answer = self.provider.launch([wanted])[wanted.token]
        assert isinstance(answer, Seen), answer
        return answer

    def state(self, instance_id: str) -> SeenState | None:
        """What the provider says; None: it is not in the list."""
        return next((one.state for one in self.provider.seen() if one.instance_id == instance_id), None)

    def wait_for(self, instance_id: str, state: SeenState | None) -> None:
        """Until the provider says so."""
        wait_for(f"{instance_id} {state}", lambda: self.state(instance_id) is state)

    def folder(self, instance_id: str) -> Folder:
        """The instance's folder."""
        return Folder(self.dir / "instances" / instance_id)

    def processes(self, instance_id: str) -> set[family.Member]:
        """All that runs of it, its own process included."""
        pid = self.folder(instance_id).read("begun.json").get("pid")
        own = family.member(pid) if isinstance(pid, int) else None
        found = family.marked(self.folder(instance_id).path) | ({own} if own else set())
        return found | family.descendants(pid for pid, _ in found)

    def family(self, instance_id: str) -> set[family.Member]:
        """Who was written down as belonging to it."""
        members = self.folder(instance_id).read("family.json").get("members")
        return {(pid, at) for pid, at in members} if isinstance(members, list) else set()

    def wait_for_nothing_of(self, instance_id: str) -> None:
        """Until no process of it is left, its own included."""
        wait_for(f"nothing of {instance_id} is left", lambda: not self.processes(instance_id))

    def end(self) -> None:
        """End everything."""
        for path in sorted((self.dir / "instances").iterdir()):
            Folder(path).mark("terminate")

        def over() -> bool:
            return all(Here._is_over(Folder(path)) for path in (self.dir / "instances").iterdir())

        wait_for("every instance ends", over)

    @staticmethod
    def _is_over(folder: Folder) -> bool:
        lock = folder.claim()
        if lock is None:
            return False
        os.close(lock)
        return family.kill_all(folder.path, ())


@pytest.fixture
def folder() -> Iterator[Path]:
    """On tmpfs: what counts is the cloud's time, not this disk's."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
def make_here(tmp_path: Path) -> Iterator[Callable[..., Here]]:
    """`make_here(capacity=…)`: a local provider whose instances run `sleep`."""
    made: list[Here] = []

    def make(**settings: object) -> Here:
        made.append(Here(tmp_path / f"here{len(made)}", **settings))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def here(make_here: Callable[..., Here]) -> Here:
    """One with no limits."""
    return make_here()
