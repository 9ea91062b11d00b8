"""What `hetslurm nodes --json` prints of a node. Pure."""

from __future__ import annotations

import math
from typing import Any

from hetslurm.bus.board_view import NodeView, ProbeView, RowView
from hetslurm.telemetry import SCHEMAS

_UNITS = {probe: {metric.name: metric.unit for metric in metrics} for probe, metrics in SCHEMAS.items()}


def node_summary(node: NodeView, now: float) -> dict[str, Any]:
    """One node without its probes' values. Ages in seconds, None: never."""
    return {
        "node": node.name,
        "health": dict(node.health),
        "speed": dict(node.speed),
        "speed_measured": dict(node.measured),
        "heard": node.heard,
        "silent": node.silent,
        "report_age_s": _age(node.received_at, now),
        "beat_s": _finite(node.beat_s),
        "clock_skew_s": _finite(node.skew_s) or 0.0,
        "reports": node.reports,
        "lost": node.lost,
        "restarts": node.restarts,
        "findings": [
            {
                "rule": finding.rule,
                "probe": finding.probe,
                "index": finding.index,
                "text": finding.text,
                "hard": finding.is_hard,
                "counts": finding.counts,
                "factor": finding.factor,
                "since": finding.since,
                "for_s": round(max(0.0, now - finding.since), 3),
            }
            for finding in node.findings
        ],
        "probes": {name: _probe_summary(probe, now) for name, probe in node.probes.items()},
    }


def node_row(node: NodeView, now: float) -> dict[str, Any]:
    """One node with everything that is known of it."""
    row = node_summary(node, now)
    row["bitstreams"] = [{"uuid": uuid, "name": name} for uuid, name in node.bitstreams]
    for name, probe in node.probes.items():
        row["probes"][name]["rows"] = [_device(name, device) for device in probe.rows]
    return row


def _probe_summary(probe: ProbeView, now: float) -> dict[str, Any]:
    return {
        "state": probe.state.label,
        "age_s": _age(probe.sampled_at, now),
        "took_s": _finite(probe.took_s) or 0.0,
        "runs": probe.runs,
        "message": probe.message,
    }


def _device(probe: str, row: RowView) -> dict[str, Any]:
    """Every metric that the probe has; null: nobody knows."""
    units = _UNITS.get(probe, {})
    names = [*units, *(name for name in row.values if name not in units)]
    return {
        "index": row.index,
        "present": row.is_present,
        "facts": dict(row.facts),
        "values": {
            name: {
                "value": _finite(row.values.get(name, math.nan)),
                "unit": units.get(name, ""),
                "baseline": _finite(row.baseline.get(name, math.nan)),
            }
            for name in names
        },
    }


def _age(at: float, now: float) -> float | None:
    return None if math.isnan(at) else round(max(0.0, now - at), 3)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
