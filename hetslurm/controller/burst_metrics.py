"""Cloud burst on the controller's Prometheus page, and in its status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hetslurm.controller.burst import BurstFacts
from hetslurm.units import MICRO


def burst_metrics(facts: BurstFacts) -> Iterator[Metric]:
    """Nothing where burst was never on. Money in the site's currency."""
    if not facts.on and facts.error is None and facts.policy_error is None:
        return
    healthy = facts.error is None and not facts.troubles and facts.policy_error is None
    yield GaugeMetricFamily("hetslurm_burst_healthy", "1 while all of it works", value=float(healthy))
    instances = GaugeMetricFamily(
        "hetslurm_burst_instances", "live instances in the ledger", labels=["state"]
    )
    for state, count in sorted(facts.instances.items()):
        instances.add_metric([state], count)
    yield instances
    yield GaugeMetricFamily(
        "hetslurm_burst_instances_seen", "instances that the providers show", value=facts.running
    )
    yield GaugeMetricFamily(
        "hetslurm_burst_reservations", "open reservations of money", value=facts.reservations
    )
    yield GaugeMetricFamily(
        "hetslurm_burst_held", "money set aside and not spent", value=facts.held_micro / MICRO
    )
    used = GaugeMetricFamily(
        "hetslurm_burst_cap_used", "reserved and spent under a cap", labels=["level", "name", "period"]
    )
    limit = GaugeMetricFamily("hetslurm_burst_cap", "the cap", labels=["level", "name", "period"])
    for usage in facts.usage:
        names = [str(usage.cap.level), usage.name, str(usage.cap.period)]
        used.add_metric(names, usage.used_micro / MICRO)
        limit.add_metric(names, usage.cap.limit_micro / MICRO)
    yield used
    yield limit
    acts = CounterMetricFamily("hetslurm_burst_acts", "what the reconciler did", labels=["what"])
    for what, count in sorted(facts.acts_total.items()):
        acts.add_metric([what], count)
    yield acts
    yield CounterMetricFamily(
        "hetslurm_burst_failures", "acts of the reconciler that failed", value=facts.failed_total
    )
    yield CounterMetricFamily(
        "hetslurm_burst_interruptions", "instances that were taken away", value=facts.interruptions_total
    )
    spills = CounterMetricFamily(
        "hetslurm_burst_jobs", "jobs that left for the cloud, and came home", labels=["way"]
    )
    for way, count in sorted(facts.spills_total.items()):
        spills.add_metric([way], count)
    yield spills
    if facts.looked_at is not None:
        yield GaugeMetricFamily(
            "hetslurm_burst_look_timestamp_seconds", "the reconciler's newest look", value=facts.looked_at
        )


def burst_status(facts: BurstFacts) -> dict[str, Any] | None:
    """For `controller.json`; None: it was never on."""
    if not facts.on and facts.error is None and facts.policy_error is None:
        return None
    return {
        "on": facts.on,
        "error": facts.error,
        "policy_error": facts.policy_error,
        "looked_at": facts.looked_at,
        "instances": dict(facts.instances),
        "instances_seen": facts.running,
        "reservations": facts.reservations,
        "held_micro": facts.held_micro,
        "failed_total": facts.failed_total,
        "acts_total": dict(facts.acts_total),
        "providers": dict(facts.troubles),
        "interruptions_total": facts.interruptions_total,
        "interrupting": facts.interrupting,
        "spills_total": dict(facts.spills_total),
    }
