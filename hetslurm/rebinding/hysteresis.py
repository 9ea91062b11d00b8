"""Whether a pending job's gain is worth a move. Pure.

After Sia (SOSP 2023): what is not the present choice counts (T - N·S)/(T + S) of its worth, with T the age of
the job, S what a move costs and N the moves made. Slurm keeps a pending job's age and priority through an
update of its partition, so S is what is left: the look of the scheduler that it misses, and the age that
moves were seen to cost. Young jobs and those that moved often thus need more gain, and an old job
that never moved goes for little; nothing swings to and fro, since each move makes the next one dearer.
"""

from __future__ import annotations

from dataclasses import dataclass

from hetslurm.site import RebindSite


@dataclass(frozen=True, slots=True)
class Standing:
    """What a job has behind it: `age_s` since its submit, `moves` so far, `cost_s` of one more move."""

    age_s: float
    moves: int = 0
    cost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Gain:
    """What a move would bring, after hysteresis.

    `share` is how much better the score is, of the score now; `seconds` the same share of the time that is
    left until the job would be done: for latency these are the seconds that it is done sooner.
    """

    share: float
    seconds: float


def discount(standing: Standing) -> float:
    """What another placement counts, in [0, 1]: (T - N·S)/(T + S); 0 is never worth a move."""
    age, cost = max(standing.age_s, 0.0), max(standing.cost_s, 0.0)
    if age + cost <= 0:
        return 1.0
    return max(0.0, (age - standing.moves * cost) / (age + cost))


def gain(score: float, other: float, left_s: float, standing: Standing) -> Gain:
    """The gain of going from a placement with `score` to one with `other` (lower is better).

    `left_s`: seconds until the job would be done where it is. An infinite `score` (it can never run there)
    gains everything.
    """
    worth = discount(standing)
    if worth <= 0:
        return Gain(0.0, 0.0)
    if score == float("inf"):
        return Gain(1.0, left_s)
    if score <= 0:
        return Gain(0.0, 0.0)
    share = max(0.0, 1.0 - other / worth / score)
    return Gain(share, share * left_s)


def why_stay(gained: Gain, standing: Standing, site: RebindSite, *, stuck: bool = False) -> str:
    """Why the job stays where it is; "": it is to go. `stuck`: it can never run where it is.

    A stuck job has no time to settle and no gain to prove; it too has only so many moves.
    """
    if standing.moves >= site.moves_per_job:
        return f"it moved {standing.moves} times already"
    if stuck:
        return ""
    if standing.age_s < site.settle_s:
        return f"it is {max(standing.age_s, 0.0):.0f} s old, and has {site.settle_s:g} s to settle"
    if gained.seconds < site.min_gain_s or gained.share < site.min_gain:
        return f"it would gain {gained.seconds:.0f} s ({gained.share:.0%}), too little"
    return ""
