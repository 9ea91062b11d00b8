"""The run estimator: learns from runs in the order of their ends, answers questions, fills the snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import isfinite

from hetslurm.estimate import RunEstimate, Source
from hetslurm.estimates.runs.app_runs import Apps
from hetslurm.estimates.runs.app_table import AppTable
from hetslurm.estimates.runs.declared import Declared
from hetslurm.estimates.runs.question import RunAnswer, RunQuestion
from hetslurm.estimates.runs.user_runs import Users
from hetslurm.runs import Ending, Run

# What a job without any estimate is taken to run, as in the kernel.
DEFAULT_S = 3600.0
MAX_ROWS = 20_000
# Of a full table, this share of the rows is left to users.
USERS_SHARE = 0.25
_TELLING = frozenset({Ending.COMPLETED, Ending.TIMEOUT})


class RunEstimator:
    """Learns online; memory is bounded by apps, users and a fixed number of runs of each.

    Give it runs in the order of their ends. One thread at a time.
    """

    def __init__(self) -> None:
        self._apps = Apps()
        self._users = Users()
        self._declared = Declared()
        self._table = AppTable()
        self.learnt = 0
        self.passed_over = 0

    def learn(self, run: Run) -> None:
        """Learn from a run that ended. Only completed runs and timeouts say something; others are counted.

        So is a run with a number that cannot be: nothing that is stored wrongly reaches an estimate.
        """
        if run.ending not in _TELLING or not _is_sound(run):
            self.passed_over += 1
            return
        self._declared.learn(run)
        self._apps.learn(run)
        self._users.learn(run)
        self.learnt += 1

    def estimate(self, question: RunQuestion) -> RunAnswer:
        """The answer to one question: the app's history, else the user's, mixed with the declared time."""
        found = self._of_app(question) or self._users.estimate(question)
        if found is None:
            return _without_history(question)
        return _with_declared(found, question)

    def by_rows(self, question: RunQuestion) -> float:
        """The seconds that the kernel finds in `table`'s rows for a job without an app; NaN: no row fits.

        The fine row of its user where there is one, else the coarse one; at most the limit.
        """
        return self._users.by_rows(question)

    def _of_app(self, question: RunQuestion) -> RunAnswer | None:
        if not question.app:
            return None
        cell = self._table.cell(self._apps, question.app, (question.kind, question.type))
        if cell is None or (cell.per_work and not question.work > 0):
            return None
        work = question.work if cell.per_work else 1.0
        trust = self._declared.trust(cell.mean_variance)
        return RunAnswer(
            cell.mean_s * work, cell.mean_s * cell.spread * work, cell.log_sd, cell.n, cell.source, trust
        )

    def table(
        self, device_classes: Iterable[tuple[str, str]], now: float, max_rows: int = MAX_ROWS
    ) -> list[RunEstimate]:
        """Rows for the snapshot: apps on all `device_classes` (kind, type), users on those they have used.

        At most `max_rows`, those that ran last first; the order is that of the names, so that the same
        history gives the same table. `now` is Unix seconds.
        """
        devices = sorted(set(device_classes))
        rows = self._app_rows(devices, max_rows - int(max_rows * USERS_SHARE))
        rows += islice(self._users.rows(set(devices), now), max_rows - len(rows))
        return sorted(rows, key=lambda row: (row.app, row.user, row.kind, row.type, row.units, row.limit_min))

    def _app_rows(self, devices: list[tuple[str, str]], max_rows: int) -> list[RunEstimate]:
        rows: list[RunEstimate] = []
        self._table.refresh(self._apps)
        for app in reversed(self._apps.by_name):
            for kind, type_ in devices:
                cell = self._table.cell(self._apps, app, (kind, type_))
                if cell is None:
                    continue
                if len(rows) >= max_rows:
                    return rows
                rows.append(
                    RunEstimate(
                        app,
                        kind,
                        type_,
                        cell.mean_s,
                        cell.log_sd,
                        cell.n,
                        cell.per_work,
                        cell.source,
                        cell.spread,
                        self._declared.trust(cell.mean_variance),
                    )
                )
        return rows


def _is_sound(run: Run) -> bool:
    """Whether all numbers that are learnt from are finite and in range."""
    numbers = (run.submit_at, run.end_at, run.run_s, run.speed, run.work, run.declared_s, run.limit_s)
    return all(isfinite(number) for number in numbers) and run.run_s >= 0 and run.speed > 0 and run.work >= 0


def _without_history(question: RunQuestion) -> RunAnswer:
    if question.declared_s > 0:
        return RunAnswer(question.declared_s, question.declared_s, 0.0, 0, Source.DECLARED, 0.0)
    return RunAnswer(DEFAULT_S, question.limit_s or DEFAULT_S, 0.0, 0, Source.DEFAULT, 0.0)


def _with_declared(found: RunAnswer, question: RunQuestion) -> RunAnswer:
    """Mixed in log space, and no longer than the kill limit lets a job run."""
    mean, q90 = found.mean_s, found.q90_s
    if question.declared_s > 0:
        share = (question.declared_s / mean) ** (1.0 - found.trust)
        mean, q90 = mean * share, q90 * share
    if question.limit_s > 0:
        mean, q90 = min(mean, question.limit_s), min(q90, question.limit_s)
    return RunAnswer(mean, max(q90, mean), found.log_sd, found.n, found.source, found.trust)
