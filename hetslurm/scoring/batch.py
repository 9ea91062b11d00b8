"""All pending jobs scored at once, each against where it is now.

What a job asks for changes seldom, a view every cycle: resolved records are kept from cycle to cycle, and a
job is read and resolved again only when its stamp, or what views resolve as, is another. Scoring is then one
call.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hetslurm.job import Request
from hetslurm.native import kernel
from hetslurm.native.layout import FOREVER
from hetslurm.placement import Asked
from hetslurm.scoring.explain import Backlog

# More rows than this that no job has any more, and more than there are jobs: they are cleared away.
_SLACK = 1024

Read = Callable[[Any], tuple[Request, Asked] | None]


@dataclass(frozen=True, slots=True)
class Pending:
    """A job that waits. `stamp` is equal as long as its request and what Slurm's options fixed are.

    `alt` and `pool` (its name) say where it is; -1 and "": nowhere. `wait_s` is what it has left to wait
    there by itself; below 0: what a new job would wait.
    """

    key: Hashable
    stamp: Hashable
    alt: int = -1
    pool: str = ""
    wait_s: float = -1.0


@dataclass(frozen=True, slots=True)
class Rescored:
    """Row by row, in the order of the jobs given.

    `choices` (kernel.CHOICE_DTYPE) are the best pairs, `now` (kernel.TERMS_DTYPE) the terms of the pairs that
    the jobs are on, scored on the same scale: `now["score"]` over `choices["terms"]["score"]` is what a move
    gains. A job whose reasons now are KIND alone is on no pool of this view.
    """

    choices: Any
    now: Any

    @property
    def t_now(self) -> npt.NDArray[np.float64]:
        """Seconds until each job is done where it is."""
        return _t(self.now)

    @property
    def t_best(self) -> npt.NDArray[np.float64]:
        """Seconds until each job is done where it is best."""
        return _t(self.choices["terms"])


def _t(terms: Any) -> npt.NDArray[np.float64]:
    t: npt.NDArray[np.float64] = terms["wait_s"] + terms["startup_s"] + terms["transfer_s"] + terms["run_s"]
    return t


class Batch:
    """The resolved records of pending jobs. One thread at a time."""

    def __init__(self) -> None:
        self._clear(b"")

    def _clear(self, resolves_as: bytes) -> None:
        self._resolves_as = resolves_as
        self._known: dict[Hashable, tuple[Hashable, int]] = {}  # stamp and row of each key
        self._authors: dict[bytes, int] = {}
        self._jobs: Any = np.zeros(0, dtype=kernel.JOB_DTYPE)
        self._alts: Any = np.zeros(0, dtype=kernel.ALT_DTYPE)
        self._deadline_at: npt.NDArray[np.float64] = np.zeros(0)  # Unix seconds; infinite: none

    def rescore(
        self,
        view: kernel.View,
        pending: Sequence[Pending],
        read: Read,
        now: float,
        *,
        threads: int = 1,
        backlog: Backlog | None = None,
    ) -> Rescored:
        """Score every pending job. `now` is Unix seconds.

        `read(key)` gives the request and what Slurm's options fixed, for jobs that are new or changed; None
        leaves a job out: it gets no choice. A relative deadline counts from that reading
        (`slurm.asked.since_submit` makes it absolute). Keys are unique.
        """
        if not pending:
            return Rescored(np.zeros(0, kernel.CHOICE_DTYPE), np.zeros(0, kernel.TERMS_DTYPE))
        if view.resolves_as != self._resolves_as:
            self._clear(view.resolves_as)
        self._resolve(view, pending, read, now)
        at = self._rows(pending)
        jobs = self._jobs[at]
        jobs["deadline_s"] = np.clip(self._deadline_at[at] - now, 0.0, FOREVER)
        used, jobs["row"] = np.unique(jobs["row"], return_inverse=True)
        keys = list(self._authors)
        rows = kernel.admit(view, *kernel.authors_of([keys[row] for row in used]))
        choices, terms = kernel.rescore(
            view, jobs, self._alts, rows, places_of(view, pending), threads, backlog
        )
        self._tidy(at, len(keys) - len(used))
        return Rescored(choices, terms)

    def run_times(
        self, view: kernel.View, pending: Sequence[Pending], read: Read, now: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
        """How long each job runs where it is, in seconds, and the source; nowhere: 0 and DEFAULT.

        As in `rescore`, without scoring; the jobs may as well run already.
        """
        if view.resolves_as != self._resolves_as:
            self._clear(view.resolves_as)
        self._resolve(view, pending, read, now)
        at = self._rows(pending)
        found = kernel.run_times(view, self._jobs[at], self._alts, places_of(view, pending))
        self._tidy(at, 0)
        return found

    def _rows(self, pending: Sequence[Pending]) -> npt.NDArray[np.intp]:
        return np.fromiter((self._known[one.key][1] for one in pending), dtype=np.intp, count=len(pending))

    def _resolve(self, view: kernel.View, pending: Sequence[Pending], read: Read, now: float) -> None:
        wanted: list[tuple[Request, Asked]] = []
        row = len(self._jobs)
        for one in pending:
            known = self._known.get(one.key)
            if known is not None and known[0] == one.stamp:
                continue
            self._known[one.key] = (one.stamp, row + len(wanted))
            wanted.append(read(one.key) or (Request(()), Asked()))
        if not wanted:
            return
        jobs, alts = kernel.resolve_batch(view, wanted, int(now), self._authors, len(self._alts))
        deadline_at = [_deadline(request, now) for request, _ in wanted]
        self._jobs = np.concatenate([self._jobs, jobs])
        self._alts = np.concatenate([self._alts, alts])
        self._deadline_at = np.concatenate([self._deadline_at, deadline_at])

    def _tidy(self, at: npt.NDArray[np.intp], idle_authors: int) -> None:
        """Forget the jobs that are gone, when there are many: rows `at` stay, in that order."""
        if max(len(self._jobs) - len(at), idle_authors) <= _SLACK + len(at):
            return
        row = {old: new for new, old in enumerate(at.tolist())}
        self._known = {key: (stamp, row[old]) for key, (stamp, old) in self._known.items() if old in row}
        jobs = self._jobs[at]
        counts, first = jobs["n_alts"].astype(np.intp), jobs["first_alt"].astype(np.intp)
        starts = np.cumsum(counts) - counts
        self._alts = self._alts[np.repeat(first - starts, counts) + np.arange(counts.sum())]
        jobs["first_alt"] = starts
        used, jobs["row"] = np.unique(jobs["row"], return_inverse=True)
        keys = list(self._authors)
        self._authors = {keys[old]: new for new, old in enumerate(used)}
        self._jobs, self._deadline_at = jobs, self._deadline_at[at]


def _deadline(request: Request, now: float) -> float:
    if request.deadline_at is not None:
        return float(request.deadline_at)
    return np.inf if request.deadline_in_s is None else now + request.deadline_in_s


def places_of(view: kernel.View, pending: Sequence[Pending]) -> Any:
    """kernel.PLACE_DTYPE of where the jobs are; a pool that the view does not have is no place."""
    index = {name: i for i, name in enumerate(view.pools)}
    places = np.zeros(len(pending), dtype=kernel.PLACE_DTYPE)
    places["alt"] = [one.alt for one in pending]
    places["pool"] = [index.get(one.pool, -1) for one in pending]
    places["wait_s"] = [one.wait_s for one in pending]
    return places
