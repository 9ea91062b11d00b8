"""Users' last runs, for jobs whose app is not named."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from math import exp, sqrt

import numpy as np

from hetslurm.estimate import RunEstimate, Source
from hetslurm.estimates.runs.declared import Declared
from hetslurm.estimates.runs.log_stats import ln
from hetslurm.estimates.runs.question import RunAnswer, RunQuestion
from hetslurm.runs import Run

KEPT_RUNS = 64
MAX_USERS = 8192

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Last:
    """Last runs: (end, ln seconds, units, minutes of the limit)."""

    runs: list[tuple[float, float, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Users:
    """All users' last runs by (user, kind, type), the one that ran last at the end."""

    by_key: OrderedDict[_Key, _Last] = field(default_factory=OrderedDict)

    def learn(self, run: Run) -> None:
        key = (run.user, run.kind, run.type)
        last = self.by_key.setdefault(key, _Last())
        self.by_key.move_to_end(key)
        if len(self.by_key) > MAX_USERS:
            self.by_key.popitem(last=False)
        last.runs.append((run.end_at, ln(run.run_s * run.speed), run.units, round(run.limit_s / 60.0)))
        del last.runs[:-KEPT_RUNS]

    def estimate(self, question: RunQuestion) -> RunAnswer | None:
        last = self.by_key.get((question.user, question.kind, question.type))
        runs = [run for run in (last.runs if last else ()) if run[0] <= question.at]
        if not runs:
            return None
        limit_min = round(question.limit_s / 60.0)
        alike = [run for run in runs if run[2] == question.units and run[3] == limit_min] or runs
        values = np.array([run[1] for run in alike[-3:]])
        sd = sqrt(float(np.var(values)) + 0.25)
        mean = exp(float(np.median(values)))
        return RunAnswer(mean, mean * exp(1.2816 * sd), sd, len(alike), Source.PREDICTED)

    def rows(
        self, devices: list[tuple[str, str]], now: float, max_rows: int, declared: Declared
    ) -> list[RunEstimate]:
        """Coarse and fine rows of the users that ran last."""
        rows: list[RunEstimate] = []
        for user, kind, type_ in reversed(self.by_key):
            if (kind, type_) not in devices:
                continue
            classes = {(0, 0)} | {run[2:] for run in self.by_key[user, kind, type_].runs}
            for units, limit_min in sorted(classes):
                if len(rows) >= max_rows:
                    return rows
                found = self.estimate(
                    RunQuestion(now, kind, type_, user, units=units, limit_s=60.0 * limit_min)
                )
                if found is not None:
                    rows.append(
                        RunEstimate(
                            "",
                            kind,
                            type_,
                            found.mean_s,
                            found.log_sd,
                            found.n,
                            False,
                            found.source,
                            found.q90_s / found.mean_s,
                            declared.trust(found.log_sd**2),
                            user,
                            units,
                            limit_min,
                        )
                    )
        return rows
