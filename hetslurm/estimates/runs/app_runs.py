"""What apps' own runs say, by device: seconds, or seconds per unit of work where the author gives it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from math import log

from hetslurm.estimates.runs.log_stats import LogStats, ln
from hetslurm.runs import Ending, Run

# Apps that nobody has run for longest are forgotten beyond this.
MAX_APPS = 4096

Device = tuple[str, str]


@dataclass(slots=True)
class AppRuns:
    """One app's runs by (kind, type), those with work and those without apart."""

    by_work: dict[Device, LogStats] = field(default_factory=dict)
    by_run: dict[Device, LogStats] = field(default_factory=dict)

    @property
    def per_work(self) -> bool:
        """Whether most runs that count gave their work."""
        given = sum(stats.weight for stats in self.by_work.values())
        return given > 0 and given >= sum(stats.weight for stats in self.by_run.values())

    def of(self, per_work: bool) -> dict[Device, LogStats]:
        """The statistics of one flavour."""
        return self.by_work if per_work else self.by_run


@dataclass(slots=True)
class Apps:
    """All apps, the one that ran last at the end. `version` changes with every run that is counted in."""

    by_name: OrderedDict[str, AppRuns] = field(default_factory=OrderedDict)
    version: int = 0

    def learn(self, run: Run) -> None:
        """Count a run in that completed, or that hit its limit."""
        if not run.app:
            return
        runs = self.by_name.setdefault(run.app, AppRuns())
        self.by_name.move_to_end(run.app)
        if len(self.by_name) > MAX_APPS:
            self.by_name.popitem(last=False)
        device = (run.kind, run.type)
        stats = runs.of(run.work > 0).setdefault(device, LogStats())
        value = ln(run.run_s * run.speed) - (log(run.work) if run.work > 0 else 0.0)
        if run.ending is Ending.TIMEOUT:
            stats.add_longer_than(value, run.end_at)
        else:
            stats.add(value, run.end_at)
        self.version += 1
