"""Where one job goes, and why: every candidate with its terms, as `hetslurm explain` shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from hetslurm.estimate import Estimate

TERM_NAMES = (
    "wait_s",
    "startup_s",
    "transfer_s",
    "run_s",
    "scarce_s",
    "money",
    "energy_j",
    "health",
    "run_high_s",
)
# Those that rest on earlier runs.
RUN_TERMS = frozenset({"run_s", "run_high_s"})


class Tier(IntEnum):
    """How good the best pair is; the order is that of `enum het_tier`."""

    NONE = 0
    SOFT = 1
    FEASIBLE = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """Slurm's own options, as the author gave them; "" and 0 mean "left open".

    `cpus` and `mem_mb` are per node, `limit_min` minutes, `n_tasks` an array's size. `gres`: every option
    that names one, as a comma list. `privileged`: root or SlurmUser submits.
    """

    uid: int = 0
    privileged: bool = False
    account: str = ""
    qos: str = ""
    partition: str = ""
    constraint: str = ""
    gres: str = ""
    submit_host: str = ""
    node_names: tuple[str, ...] = ()
    has_reservation: bool = False
    nodes: int = 0
    cpus: int = 0
    mem_mb: int = 0
    limit_min: int = 0
    n_tasks: int = 0


class RunClass(StrEnum):
    """Whose runs are behind a run time: the app's, the user's with this size and limit, all of the user's."""

    APP = "app"
    ALIKE = "alike"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Behind:
    """What a run time rests on: `n` runs of a class, `log_sd` the standard deviation of their logarithm."""

    n: int
    log_sd: float
    of: RunClass


@dataclass(frozen=True, slots=True)
class Candidate:
    """One (target, pool) pair: `alt` is the target's place in the request, `pool_index` the pool's.

    `reasons` is what keeps the job away, most lasting first; a feasible pair has none. `terms` holds
    TERM_NAMES: seconds, joules, `money` in the site's currency, `health` in [0, 1]; empty where the pool
    offers another kind or type. `limit_min` is the time limit that the job gets there, minutes, longer than
    its author's on a slow device; 0: the partition's. `behind` is what its run time rests on, None where
    that is no estimate, or nobody asked.
    """

    alt: int
    pool_index: int
    target: str
    pool: str
    partition: str
    kind: str
    type: str
    reasons: tuple[str, ...]
    score: float | None
    risk: float
    terms: dict[str, Estimate]
    limit_min: int = 0
    behind: Behind | None = field(default=None, compare=False)

    @property
    def feasible(self) -> bool:
        """Whether nothing keeps the job away, not even for now."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one job. `chosen` is None when no pair is left; `reasons` then says why.

    `ordered`: the author's order decided, from a stale snapshot. `candidates` are there when asked for.
    """

    objective: str
    generation: int
    tier: Tier
    chosen: Candidate | None
    reasons: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    app: str | None = None
    job_id: int | None = None
    ordered: bool = False


def decision_json(decision: Decision) -> dict[str, Any]:
    """The object that `hetslurm explain --json` prints. A contract: keys are only ever added."""
    chosen = decision.chosen
    return {
        "job_id": decision.job_id,
        "app": decision.app,
        "objective": decision.objective,
        "generation": decision.generation,
        "chosen": chosen
        and {
            "target": chosen.target,
            "pool": chosen.pool,
            "partition": chosen.partition,
            "score": chosen.score,
        },
        "candidates": [_candidate_json(candidate) for candidate in decision.candidates],
    }


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    return {
        "target": candidate.target,
        "pool": candidate.pool,
        "partition": candidate.partition,
        "feasible": candidate.feasible,
        "reason": "; ".join(candidate.reasons) or None,
        "score": candidate.score,
        "terms": {name: _term_json(name, term, candidate) for name, term in candidate.terms.items()},
    }


def _term_json(name: str, term: Estimate, candidate: Candidate) -> dict[str, Any]:
    """Of run times also: how many runs they rest on (0: none), of what class, and how far these spread."""
    found: dict[str, Any] = {"value": term.value, "source": term.source.label}
    if name in RUN_TERMS:
        behind = candidate.behind
        found["n"] = behind.n if behind else 0
        found["log_sd"] = behind.log_sd if behind else None
        found["class"] = behind.of.value if behind else None
    return found
