"""Users' last runs, for jobs whose app is not named."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, exp
from typing import TypeVar

from hetslurm.estimate import RunEstimate, Source
from hetslurm.estimates.runs.coverage import Coverage
from hetslurm.estimates.runs.likeness import Evidence, Likeness, gather
from hetslurm.estimates.runs.log_stats import ln
from hetslurm.estimates.runs.mixing import Mixing
from hetslurm.estimates.runs.question import RunAnswer, RunQuestion
from hetslurm.estimates.runs.ring import LIMIT, NOTHING, UNITS, Ring, Vector
from hetslurm.runs import Ending, Run

# Runs that speak: of a user on a device class, of all users with the same units and limit, and of anybody.
OWN_RUNS, ALIKE_RUNS, ANYBODYS_RUNS = 64, 16, 16
# Runs kept of each: when a run ends, those that were known at its submit are wanted once more.
OWN_KEPT, ALIKE_KEPT, ANYBODYS_KEPT = 128, 256, 1024
# Rings kept; those used last stay. All rings together have at most some 60 MiB.
MAX_USERS, MAX_CLASSES, MAX_DEVICES = 8192, 2048, 64
# Fine rows a user gets in a table.
FINE_ROWS = 16

_Key = TypeVar("_Key")


def limit_minutes(limit_s: float) -> int:
    """Slurm's minutes of a limit, rounded up as Slurm does; 0: none."""
    return ceil(limit_s / 60.0) if limit_s > 0 else 0


@dataclass(slots=True)
class Users:
    """Rings by (user, kind, type), by (kind, type, units, limit) and by (kind, type), and what was learnt."""

    own: OrderedDict[tuple[str, str, str], Ring] = field(default_factory=OrderedDict)
    alike: OrderedDict[tuple[str, str, int, int], Ring] = field(default_factory=OrderedDict)
    anybody: OrderedDict[tuple[str, str], Ring] = field(default_factory=OrderedDict)
    likeness: Likeness = field(default_factory=Likeness)
    coverage: Coverage = field(default_factory=Coverage)
    mixing: Mixing = field(default_factory=Mixing)

    def learn(self, run: Run) -> None:
        """Compare a run with what was known at its submit, then keep it."""
        value = ln(run.run_s * run.speed)
        limit_min = limit_minutes(run.limit_s)
        question = RunQuestion(
            run.submit_at, run.kind, run.type, run.user, units=run.units, limit_s=run.limit_s
        )
        evidence = self._evidence(question)
        if evidence is not None:
            mixture = self.likeness.weigh(evidence)
            self.coverage.learn(mixture.below(value))
            if run.declared_s > 0:
                self.mixing.learn(value, mixture.heavy().best(), ln(run.declared_s))
            self.likeness.learn(evidence, mixture.weights, value)
        timeout = 1.0 if run.ending is Ending.TIMEOUT else 0.0
        row = (run.end_at, value, float(run.units), float(limit_min), timeout)
        device = (run.kind, run.type)
        _ring(self.own, (run.user, *device), OWN_KEPT, MAX_USERS).add(row)
        _ring(self.alike, (*device, run.units, limit_min), ALIKE_KEPT, MAX_CLASSES).add(row)
        _ring(self.anybody, device, ANYBODYS_KEPT, MAX_DEVICES).add(row)

    def estimate(self, question: RunQuestion) -> RunAnswer | None:
        """None: nobody ran anything on that device class yet."""
        evidence = self._evidence(question)
        if evidence is None or evidence.runs == 0:
            return None
        mixture = self.likeness.weigh(evidence)
        heavy = mixture.heavy()
        # A user's run is among "alike" and "anybody" as well: it counts once.
        n = mixture.count_heavy(0, evidence.own) or max(mixture.count_heavy(evidence.own, evidence.runs), 1)
        best = heavy.best()
        q90 = max(mixture.quantile(self.coverage.level), best)
        if question.limit_s > 0:
            q90 = min(q90, ln(question.limit_s))
        return RunAnswer(exp(best), exp(q90), heavy.sd(), n, Source.PREDICTED, self.mixing.share)

    def rows(self, devices: set[tuple[str, str]], now: float) -> Iterator[RunEstimate]:
        """A coarse row of each user on each device class used, and fine ones; who ran last comes first."""
        for (user, kind, type_), ring in reversed(self.own.items()):
            if (kind, type_) in devices:
                for units, limit_min in _classes(ring.until(now, OWN_RUNS)):
                    found = self.estimate(
                        RunQuestion(now, kind, type_, user, units=units, limit_s=60.0 * limit_min)
                    )
                    if found is not None:
                        spread = found.q90_s / found.mean_s
                        yield RunEstimate(
                            "", kind, type_, found.mean_s, found.log_sd, found.n, False, found.source,
                            spread, found.trust, user, units, limit_min,
                        )  # fmt: skip

    def by_rows(self, question: RunQuestion) -> float:
        """Seconds by the fine row of the user, else by the coarse one; NaN: there is neither."""
        ring = self.own.get((question.user, question.kind, question.type))
        if ring is None:
            return float("nan")
        wanted = (question.units, limit_minutes(question.limit_s))
        if wanted not in _classes(ring.until(question.at, OWN_RUNS)):
            wanted = (0, 0)
        found = self.estimate(
            RunQuestion(
                question.at,
                question.kind,
                question.type,
                question.user,
                units=wanted[0],
                limit_s=60.0 * wanted[1],
            )
        )
        if found is None:
            return float("nan")
        return min(found.mean_s, question.limit_s) if question.limit_s > 0 else found.mean_s

    def _evidence(self, question: RunQuestion) -> Evidence | None:
        at, device, units = question.at, (question.kind, question.type), question.units
        limit_min = limit_minutes(question.limit_s)
        own = self.own.get((question.user, *device))
        alike = self.alike.get((*device, units, limit_min))
        anybody = self.anybody.get(device)
        return gather(
            NOTHING if own is None else own.until(at, OWN_RUNS),
            NOTHING if alike is None else alike.until(at, ALIKE_RUNS),
            NOTHING if anybody is None else anybody.until(at, ANYBODYS_RUNS),
            at,
            units,
            limit_min,
        )


def _classes(rows: Vector) -> list[tuple[int, int]]:
    """(units, limit) of a user: none first (the coarse row), then those that ran last."""
    classes = dict.fromkeys([(0, 0)])
    for row in rows:
        if len(classes) > FINE_ROWS:
            break
        classes.setdefault((int(row[UNITS]), int(row[LIMIT])))
    return list(classes)


def _ring(rings: OrderedDict[_Key, Ring], key: _Key, most: int, keys: int) -> Ring:
    ring = rings.get(key)
    if ring is None:
        ring = rings[key] = Ring(most)
        if len(rings) > keys:
            rings.popitem(last=False)
    rings.move_to_end(key)
    return ring
