"""Where one pending job would best go now, compared with where it is. Pure.

The kernel scores a job as one that comes anew; this one has its place in a line already. So the wait where
it is becomes its own expected start, and all is scored again by the kernel's formula (docs/architecture.md)
over the pairs that it could have: where it is, and what a move can reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hetslurm.native.layout import REASON_BITS, REASONS
from hetslurm.rebinding.hysteresis import Gain, Standing, gain, why_stay
from hetslurm.site import RebindSite

Pair = tuple[int, int]  # target's place in the request, pool's index
_SOFT = sum(REASON_BITS[name] for name, soft, _ in REASONS if soft)
_DEADLINE = REASON_BITS["DEADLINE"]
_TINY = 1e-9  # as the kernel's: below, money and energy count as none


@dataclass(frozen=True, slots=True)
class Verdict:
    """`best`: the pair to go to, where there is one; `why`: what keeps the job where it is, "" nothing.

    `score`, `other`: of the pair now (infinite: it can never run there) and of the best; `left_s`, `then_s`:
    seconds until it would be done.
    """

    best: Pair | None = None
    why: str = ""
    gain: Gain = Gain(0.0, 0.0)
    score: float = float("inf")
    other: float = float("inf")
    left_s: float = float("inf")
    then_s: float = float("inf")

    @property
    def goes(self) -> bool:
        """It is to move."""
        return self.best is not None and not self.why


def weigh(
    terms: Any,
    weights: Any,
    here: Pair | None,
    own_wait_s: float | None,
    reachable: npt.NDArray[np.bool_],
    standing: Standing,
    site: RebindSite,
) -> Verdict:
    """`terms`: TERMS_DTYPE[targets, pools] of the kernel's explain; `weights`: its job's.

    `here` is None where the present placement is no pair of the request any more. `own_wait_s` is the
    job's own expected start, None: nobody knows more than of a newcomer's. `reachable`[targets, pools]:
    a move leads there.
    """
    why = terms["reasons"].astype(np.int64)
    wait = terms["wait_s"].copy()
    is_here = np.zeros(why.shape, dtype=bool)
    if here is not None:
        is_here[here] = True
        if own_wait_s is not None:
            wait[here] = own_wait_s
    stuck = here is None or bool(why[here] & ~_SOFT)
    late = here is None or bool(why[here] & _DEADLINE)
    ignored = _DEADLINE if late else 0  # one that is late anyway may be late elsewhere
    others = reachable & ~is_here & (why & ~ignored == 0)
    if not others.any():
        return Verdict(why="no other placement that a move can reach")
    pairs = others if stuck else others | is_here
    left = wait + terms["startup_s"] + terms["transfer_s"] + terms["run_s"]
    score = _scores(terms, weights, left, pairs)
    best = np.unravel_index(int(np.argmin(np.where(others, score, np.inf))), why.shape)
    pair = (int(best[0]), int(best[1]))
    now = float("inf") if stuck or here is None else float(score[here])
    left_s = float("inf") if stuck or here is None else float(left[here])
    gained = gain(now, float(score[pair]), left_s, standing)
    stays = why_stay(gained, standing, site, stuck=stuck)
    return Verdict(pair, stays, gained, now, float(score[pair]), left_s, float(left[pair]))


def _scores(
    terms: Any, weights: Any, left: npt.NDArray[np.float64], pairs: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    money, energy = terms["money_micro"], terms["energy_j"]
    per_time = weights["time"] / max(float(left[pairs].min()), 1.0)
    per_money = weights["cost"] / _least(money[pairs & (money > _TINY)])
    per_energy = weights["energy"] / _least(energy[pairs & (energy > _TINY)])
    time = per_time * (left + weights["scarcity"] * terms["scarce_s"])
    scores: npt.NDArray[np.float64] = (time + per_money * money + per_energy * energy) * terms["risk"]
    return scores


def _least(values: npt.NDArray[np.float64]) -> float:
    return float(values.min()) if len(values) else 1.0
