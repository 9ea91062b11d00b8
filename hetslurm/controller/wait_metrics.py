"""Estimates of waits on the controller's Prometheus page: how far they came true, beside Slurm's own."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from hetslurm.controller.waits import WaitFacts
from hetslurm.estimates.calibration import WaitError

_TEXTS = {
    "error": "median |ln(estimated / actual)| of the last waits",
    "starts": "waits that the error is over",
    "within_factor_2": "share of waits within a factor of two of the estimate",
    "compared_error": "the error over the waits that Slurm estimated too",
    "slurm_error": "Slurm's own error over the same (squeue --start)",
    "slurm_coverage": "share of waits that Slurm estimated",
}


def wait_metrics(facts: WaitFacts) -> Iterator[Metric]:
    """By pool, and over all of them under the pool ""."""
    families = {
        name: GaugeMetricFamily(f"hetslurm_wait_{name}", text, labels=["pool"])
        for name, text in _TEXTS.items()
    }
    for pool, error in [("", facts.all), *sorted(facts.by_pool.items())]:
        for name, value in _values(error).items():
            if value is not None:
                families[name].add_metric([pool], value)
    factors = GaugeMetricFamily(
        "hetslurm_wait_correction", "what estimated waits are multiplied by", labels=["pool"]
    )
    for pool, factor in sorted(facts.factors.items()):
        factors.add_metric([pool], factor)
    yield from families.values()
    yield factors


def _values(error: WaitError) -> dict[str, float | None]:
    return {
        "error": error.error,
        "starts": float(error.n),
        "within_factor_2": error.within_2,
        "compared_error": error.both_error,
        "slurm_error": error.slurm_error,
        "slurm_coverage": error.slurm_coverage,
    }
