"""Shadow prices in the controller: solved beside the cycles, kept over restarts, off when told so.

Each cycle leaves the jobs that it saw; a thread of its own solves when it is time. What a solve gave stays
in force until the next one succeeds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hetslurm.clock import Clock
from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.controller.burst_worker import Worker
from hetslurm.controller.cycle import Plan
from hetslurm.controller.job_mix import JobMix, Seen, as_named, options_of
from hetslurm.daemon.log import Log
from hetslurm.estimates.shadow import shadow_prices
from hetslurm.native.kernel import View
from hetslurm.site import ShadowSite, Site

_END_S = 2.0
_VERSION = 1


@dataclass(frozen=True, slots=True)
class ShadowFacts:
    """How shadow prices are, for status and metrics.

    `prices` by pool, in seconds of others' time per second of a unit. `solved_at` is Unix seconds, None
    before the first solve; `window_s`: in which `jobs` jobs of `classes` classes arrived; `stretch_s`: by
    how much their work outlasts it. `error` says why the newest solve gave none, None where it did.
    """

    mode: str = "off"
    prices: Mapping[str, float] = field(default_factory=dict)
    solved_at: float | None = None
    solve_s: float = 0.0
    jobs: float = 0.0
    classes: int = 0
    window_s: float = 0.0
    stretch_s: float = 0.0
    solves_total: int = 0
    failed_total: int = 0
    error: str | None = None


class _Stored(msgspec.Struct):
    """`state_dir/shadow.json`."""

    version: int
    prices: dict[str, float]
    solved_at: float
    jobs: float
    classes: int
    window_s: float
    stretch_s: float
    solve_s: float
    mix: list[QueuedJob]


@dataclass(frozen=True, slots=True)
class _Task:
    site: ShadowSite
    seen: tuple[Seen, ...]
    units: tuple[float, ...]
    view: View
    cluster: Cluster


class ShadowPricer:
    """One a controller."""

    def __init__(self, state_dir: Path, *, log: Log, clock: Clock) -> None:
        self._path = state_dir / "shadow.json"
        self._log = log
        self._clock = clock
        self._worker: Worker[_Task] = Worker(self._solve, "shadow prices")
        self._begun_at = float("-inf")
        self._few = False
        self._mode = "off"
        self._facts = ShadowFacts()
        self._mix = JobMix(self._load())

    def prices(self, site: Site) -> Mapping[str, float]:
        """The prices in force, by pool; none where the site wants none."""
        return self._facts.prices if site.shadow.mode == "on" else {}

    @property
    def facts(self) -> ShadowFacts:
        """How it stands."""
        if self._mode == "off":
            return replace(self._facts, mode="off", prices={})
        return replace(self._facts, mode=self._mode)

    def cycle(self, site: Site, plan: Plan, cluster: Cluster, view: View, wait_s: float = 0.0) -> bool:
        """Take note of what a cycle saw, and solve where it is time. True: nothing is being solved now.

        Waits up to `wait_s` seconds for the solve that it begins.
        """
        shadow = site.shadow
        self._mode = shadow.mode
        if shadow.mode == "off":
            return True
        self._mix.see(plan.recorded, shadow.jobs)
        now = self._clock.monotonic()
        seen = self._mix.jobs()
        if sum(each.count for each in seen) < shadow.min_jobs or now - self._begun_at < shadow.every_s:
            return True
        self._begun_at = now
        units = {pool.name: pool.units for pool in plan.pools}
        task = _Task(shadow, seen, tuple(units.get(name, 0.0) for name in view.pools), view, cluster)
        return self._worker.give(task, wait_s)

    def close(self) -> None:
        """End the thread; a solve that is under way is let go."""
        self._worker.stop(_END_S)

    def _solve(self, task: _Task) -> None:
        """In the thread. Nothing that goes wrong here reaches the cycles: the old prices stay."""
        try:
            self._solve_mix(task)
        except Exception as error:  # a number that no solver foresaw, a full disk
            self._failed(f"{type(error).__name__}: {error}")

    def _solve_mix(self, task: _Task) -> None:
        options, first_at = options_of(task.seen, task.view, task.cluster)
        jobs = sum(one.count for one in options)
        if jobs < task.site.min_jobs:
            self._failed(f"{jobs:g} jobs of the mix can run somewhere; min_jobs is {task.site.min_jobs}")
            return
        window_s = max(0.0, self._clock.now() - first_at)
        found = shadow_prices(options, np.array(task.units), window_s, task.site.deadline_s)
        if not found.solved:
            self._failed(f"not solved within {task.site.deadline_s:g} s: {found.why}")
            return
        facts = self._facts
        self._facts = replace(
            facts,
            prices=as_named(found.per_unit_s, task.view.pools),
            solved_at=self._clock.now(),
            solve_s=round(found.solve_s, 6),
            jobs=found.jobs,
            classes=found.classes,
            window_s=round(window_s, 3),
            stretch_s=round(found.stretch_s, 3),
            solves_total=facts.solves_total + 1,
            error=None,
        )
        self._save(task.seen)
        self._log.info(
            "shadow prices",
            jobs=found.jobs,
            solve_s=round(found.solve_s, 4),
            scarce=sum(1 for price in self._facts.prices.values() if price > 0),
        )

    def _failed(self, why: str) -> None:
        facts = self._facts
        if facts.error != why:
            self._log.warning("no new shadow prices, the last stay", why=why)
        self._facts = replace(facts, failed_total=facts.failed_total + 1, error=why)

    def _save(self, seen: tuple[Seen, ...]) -> None:
        facts = self._facts
        mix = [replace(each.one.job, tasks=each.count) for each in seen]
        stored = _Stored(
            _VERSION,
            dict(facts.prices),
            facts.solved_at or 0.0,
            facts.jobs,
            facts.classes,
            facts.window_s,
            facts.stretch_s,
            facts.solve_s,
            mix,
        )
        fresh = self._path.with_suffix(".json.new")
        # Job records are their authors' business: nobody else reads them here.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as out:
            out.write(msgspec.json.encode(stored))
        fresh.replace(self._path)

    def _load(self) -> list[QueuedJob]:
        """What an earlier controller left; a file that cannot be read is said and begun anew."""
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            self._log.warning("shadow prices could not be read; begun anew", file=self._path, why=error)
            return []
        if stored.version != _VERSION:
            self._log.warning("shadow prices are of another version; begun anew", file=self._path)
            return []
        self._facts = ShadowFacts(
            prices=stored.prices,
            solved_at=stored.solved_at,
            solve_s=stored.solve_s,
            jobs=stored.jobs,
            classes=stored.classes,
            window_s=stored.window_s,
            stretch_s=stored.stretch_s,
        )
        return stored.mix


def shadow_status(facts: ShadowFacts) -> dict[str, Any]:
    """For `state_dir/controller.json`."""
    return asdict(facts) | {"prices": dict(facts.prices)}
