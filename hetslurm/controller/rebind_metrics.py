"""How moving pending jobs goes, for the status file and the Prometheus page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hetslurm.controller.rebind import Rebinder

_TOTALS = ("moved", "advised", "not_moved", "refused", "repaired")


def rebind_status(rebinder: Rebinder) -> dict[str, Any]:
    """The newest cycle, and totals since the start."""
    report = rebinder.report
    return {
        "mode": report.mode,
        "looked_at": report.looked_at,
        "would_gain": report.would_gain,
        "moved": report.moved,
        "advised": report.advised,
        "repaired": report.repaired,
        "look_s": round(report.look_s, 6),
        "act_s": round(report.act_s, 6),
        "stays": dict(report.stays),
        "totals": {name: rebinder.totals[name] for name in _TOTALS},
    }


def rebind_metrics(status: Mapping[str, Any] | None) -> Iterator[Metric]:
    """Of what `rebind_status` gave; nothing before the first cycle."""
    if status is None:
        return
    totals = CounterMetricFamily(
        "hetslurm_rebind", "pending jobs by what became of their move", labels=["what"]
    )
    for name, count in status["totals"].items():
        totals.add_metric([name], count)
    yield totals
    stays = GaugeMetricFamily(
        "hetslurm_rebind_stays", "pending jobs that stay where they are, by why", labels=["why"]
    )
    for why, count in sorted(status["stays"].items()):
        stays.add_metric([why], count)
    yield stays
    for key, text in (
        ("look_s", "seconds that weighing all pending jobs took in the newest cycle"),
        ("act_s", "seconds that moves took in the newest cycle"),
    ):
        yield GaugeMetricFamily(f"hetslurm_rebind_{key[:-2]}_seconds", text, value=status[key])
    yield GaugeMetricFamily(
        "hetslurm_rebind_would_gain",
        "pending jobs that another placement would serve better",
        value=status["would_gain"],
    )
