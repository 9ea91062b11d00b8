"""From a request to a Decision: resolve, admit, score; the same C and Cython that slurmctld's plugin runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from hetslurm.estimate import Estimate, Source
from hetslurm.job import Request
from hetslurm.native import kernel
from hetslurm.native.layout import REASONS
from hetslurm.placement import TERM_NAMES, Asked, Behind, Candidate, Decision, RunClass, Tier
from hetslurm.slot import PRESET_NAMES
from hetslurm.units import MICRO

Backlog = tuple[npt.ArrayLike, npt.ArrayLike]
_KIND_ALONE = 1  # HET_WHY_KIND and nothing else: no term was computed
_TERMS = {
    "wait_s": ("wait_s", "wait_source", 1.0),
    "startup_s": ("startup_s", "startup_source", 1.0),
    "transfer_s": ("transfer_s", "transfer_source", 1.0),
    "run_s": ("run_s", "run_source", 1.0),
    "scarce_s": ("scarce_s", "scarce_source", 1.0),
    "money": ("money_micro", "money_source", 1.0 / MICRO),
    "energy_j": ("energy_j", "energy_source", 1.0),
    "run_high_s": ("run_high_s", "run_source", 1.0),
}


@dataclass(frozen=True, slots=True)
class _Table:
    """The names behind a view's pool indexes."""

    view: kernel.View
    request: Request
    pools: tuple[str, ...]
    partitions: tuple[str, ...]
    kinds: tuple[str, ...]
    types: tuple[str, ...]
    health: tuple[float, ...]

    @classmethod
    def of(cls, view: kernel.View, request: Request) -> _Table:
        return cls(view, request, view.pools, view.partitions, view.kinds, view.types, view.health)

    def candidate(self, alt: int, pool: int, terms: Any, *, scored: bool) -> Candidate:
        matches = int(terms["reasons"]) != _KIND_ALONE
        values: dict[str, Estimate] = {}
        if matches:
            for name, (value, source, unit) in _TERMS.items():
                values[name] = Estimate(float(terms[value]) * unit, Source(int(terms[source])))
            values["health"] = Estimate(self.health[pool], Source(int(terms["health_source"])))
            values = {name: values[name] for name in TERM_NAMES}
        return Candidate(
            alt=alt,
            pool_index=pool,
            target=self.request.targets[alt].label,
            pool=self.pools[pool],
            partition=self.partitions[pool],
            kind=self.kinds[pool],
            type=self.types[pool],
            reasons=reason_texts(int(terms["reasons"])),
            score=float(terms["score"]) if scored and matches else None,
            risk=float(terms["risk"]) if matches else 1.0,
            terms=values,
            limit_min=int(terms["limit_min"]),
        )


def reason_texts(reasons: int) -> tuple[str, ...]:
    """HET_WHY_* bits as sentences, in the order of reasons.h: hard ones first."""
    return tuple(text for bit, (_, _, text) in enumerate(REASONS) if reasons >> bit & 1)


def decide(
    view: kernel.View,
    request: Request,
    asked: Asked,
    now: float,
    *,
    order_only: bool = False,
    backlog: Backlog | None = None,
) -> Decision:
    """Choose where a job goes, as the plugin would. `order_only`: by the author's order, as if stale.

    `now` is Unix seconds; `backlog` is (units, unit seconds) per pool that were placed since the snapshot.
    Raises ValueError for a request that no parser can have made.
    """
    author, nodes, job, alts = kernel.resolve(view, request, asked, int(now))
    rows = kernel.admit(view, author, [nodes])
    if order_only:
        choice = kernel.score_order(view, job, alts, rows)[0]
    else:
        choice = kernel.score_batch(view, job, alts, rows, backlog=backlog)[0]
    return _decision(_Table.of(view, request), choice, (), ordered=order_only)


def explain(view: kernel.View, request: Request, asked: Asked, now: float) -> Decision:
    """As decide(), with every candidate: each target, in the author's order, on each pool."""
    author, nodes, job, alts = kernel.resolve(view, request, asked, int(now))
    rows = kernel.admit(view, author, [nodes])
    terms, choice = kernel.explain(view, job, alts, rows[0])
    behind = kernel.runs_behind(view, job, alts)
    table = _Table.of(view, request)
    scored = int(choice["tier"]) != Tier.NONE
    candidates = tuple(
        replace(
            table.candidate(alt, pool, terms[alt, pool], scored=scored),
            behind=_behind(behind[alt, pool], has_app=bool(request.app)),
        )
        for alt in range(terms.shape[0])
        for pool in range(terms.shape[1])
    )
    return _decision(table, choice, candidates, ordered=False)


def _behind(row: Any, *, has_app: bool) -> Behind | None:
    if row["row"] < 0:
        return None
    of = RunClass.APP if has_app else RunClass.USER if row["wider"] else RunClass.ALIKE
    return Behind(int(row["n"]), float(row["log_sd"]), of)


def candidate_of(view: kernel.View, request: Request, alt: int, pool: int, terms: Any) -> Candidate:
    """One pair of a request, from its terms (a TERMS_DTYPE of the kernel's explain)."""
    return _Table.of(view, request).candidate(alt, pool, terms, scored=True)


def _decision(table: _Table, choice: Any, candidates: tuple[Candidate, ...], *, ordered: bool) -> Decision:
    chosen = None
    if choice["pool"] >= 0:
        chosen = table.candidate(int(choice["alt"]), int(choice["pool"]), choice["terms"], scored=not ordered)
    return Decision(
        objective=table.request.objective or PRESET_NAMES[table.view.default_objective],
        generation=table.view.generation,
        tier=Tier(int(choice["tier"])),
        chosen=chosen,
        reasons=reason_texts(int(choice["reasons"])),
        candidates=candidates,
        app=table.request.app,
        ordered=ordered,
    )
