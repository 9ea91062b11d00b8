"""How long jobs run, learnt online from the runs that ended. Pure: no I/O and no clock of its own.

Run ──▶ RunEstimator.learn ──▶ app_runs.py      an app's runs, by device: logarithm, decayed, per unit of work
                           ──▶ user_runs.py     users' last runs, weighed by how alike they are
                           ──▶ carry_over.py    ratios between devices, for a device never used
RunEstimator.estimate(question) ──▶ RunAnswer
RunEstimator.table(device classes) ──▶ rows of the snapshot
"""

from __future__ import annotations

from hetslurm.estimates.runs.estimator import RunEstimator
from hetslurm.estimates.runs.question import RunAnswer, RunQuestion

__all__ = ["RunAnswer", "RunEstimator", "RunQuestion"]
