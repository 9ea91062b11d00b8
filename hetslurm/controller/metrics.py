"""The controller's Prometheus page, on loopback: what slurmctld's own exporter cannot know.

The cycle leaves its newest facts in one immutable value; a scrape reads that and nothing else, so that none
ever waits for a cycle or asks Slurm.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Thread
from wsgiref.simple_server import WSGIServer

import numpy as np
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hetslurm.controller.burst import BurstFacts
from hetslurm.controller.burst_metrics import burst_metrics
from hetslurm.controller.learning import LearningFacts
from hetslurm.controller.rebind_metrics import rebind_metrics
from hetslurm.controller.shadow import ShadowFacts
from hetslurm.controller.status import Status
from hetslurm.controller.tracing import TraceFacts
from hetslurm.controller.wait_metrics import wait_metrics
from hetslurm.controller.waits import WaitFacts
from hetslurm.daemon.log import Log
from hetslurm.health.judgement import KINDS, Judgement
from hetslurm.pool import WAIT_LENGTHS, WAIT_LENGTHS_MIN, WAIT_SIZES, Pool
from hetslurm.slurm.stats import PluginStats

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What one cycle leaves for scrapes. `bus` and `drains` are counters by name; `plugin` may be absent."""

    status: Status
    pools: tuple[Pool, ...] = ()
    judgement: Judgement = field(default_factory=lambda: Judgement(0.0))
    bus: Mapping[str, int] = field(default_factory=dict)
    drains: Mapping[str, int] = field(default_factory=dict)
    breaker_open: bool = False
    plugin: PluginStats | None = None
    steered: int = 0
    burst: BurstFacts = field(default_factory=BurstFacts)
    shadow: ShadowFacts = ShadowFacts()
    learning: LearningFacts = field(default_factory=LearningFacts)
    waits: WaitFacts = field(default_factory=WaitFacts)
    trace: TraceFacts = TraceFacts()


class MetricsPage(Collector):
    """Serves the newest Facts on a port of loopback; a port of 0 serves nothing."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._facts: Facts | None = None
        self._port = 0
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

    def update(self, facts: Facts) -> None:
        """Take the newest facts; scrapes from now on see them."""
        self._facts = facts

    def follow(self, port: int) -> None:
        """Listen where the configuration says. A port that is taken is logged once; the daemon goes on."""
        if port == self._port:
            return
        self.close()
        self._port = port
        if not port:
            return
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, addr=LOOPBACK, registry=registry)
        except OSError as error:
            self._log.error("no metrics page", port=port, error=error.strerror or error)

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = self._thread = None
        self._port = 0

    def describe(self) -> Iterator[Metric]:
        """Nothing ahead of a scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client's Collector."""
        facts = self._facts
        if facts is None:
            return
        yield from controller_metrics(facts.status)
        yield from pool_metrics(facts.pools)
        yield from node_metrics(facts.judgement)
        yield _counts("hetslurm_bus_messages", "reports and connections by what became of them", facts.bus)
        yield from drain_metrics(facts.drains)
        yield _gauge(
            "hetslurm_drain_breaker_open", "1 while too many nodes fail at once", float(facts.breaker_open)
        )
        yield _gauge(
            "hetslurm_nodes_steered", "nodes with a higher weight from hetslurm", float(facts.steered)
        )
        yield from burst_metrics(facts.burst)
        yield from shadow_metrics(facts.shadow)
        yield from learning_metrics(facts.learning)
        yield from wait_metrics(facts.waits)
        yield from trace_metrics(facts.trace)
        yield from rebind_metrics(facts.status.rebind)
        if facts.plugin is not None:
            yield from plugin_metrics(facts.plugin)


def controller_metrics(status: Status) -> Iterator[Metric]:
    """How the controller itself is."""
    yield _total("hetslurm_cycles", "cycles since the start", status.cycles)
    yield _total("hetslurm_cycle_failures", "cycles that failed", status.failures_total)
    yield _total("hetslurm_jobs_placed", "held jobs that the controller placed", status.placed_total)
    yield _gauge("hetslurm_cycle_duration_seconds", "the newest cycle", status.cycle_duration_s)
    yield _gauge("hetslurm_jobs_held", "jobs that wait held for a placement", status.held)
    yield _gauge("hetslurm_snapshot_generation", "newest published snapshot", status.generation)
    if status.snapshot_at is not None:
        yield _gauge("hetslurm_snapshot_timestamp_seconds", "when it was published", status.snapshot_at)


def pool_metrics(pools: tuple[Pool, ...]) -> Iterator[Metric]:
    """Every pool: what it has, what it costs to wait for, how well it is."""
    labels = ["pool", "kind", "type"]
    families = {
        "hetslurm_pool_units": GaugeMetricFamily(
            "hetslurm_pool_units", "devices (or cpus) on usable nodes", labels=labels
        ),
        "hetslurm_pool_units_free": GaugeMetricFamily(
            "hetslurm_pool_units_free", "those that are free", labels=labels
        ),
        "hetslurm_pool_health": GaugeMetricFamily(
            "hetslurm_pool_health", "mean health of its nodes", labels=labels
        ),
        "hetslurm_pool_speed": GaugeMetricFamily(
            "hetslurm_pool_speed", "speed relative to what authors declare", labels=labels
        ),
    }
    waits = GaugeMetricFamily(
        "hetslurm_pool_wait_seconds",
        "expected wait by share of the pool and by the limit in minutes (inf: longer)",
        labels=[*labels, "share", "limit"],
    )
    limits = (*(str(minutes) for minutes in WAIT_LENGTHS_MIN), "inf")
    for pool in pools:
        names = [pool.name, pool.kind, pool.type]
        families["hetslurm_pool_units"].add_metric(names, pool.units)
        families["hetslurm_pool_units_free"].add_metric(names, pool.units_free)
        families["hetslurm_pool_health"].add_metric(names, pool.health.value)
        families["hetslurm_pool_speed"].add_metric(names, pool.speed.value)
        for n, wait in enumerate(pool.wait_s):
            size, length = divmod(n, WAIT_LENGTHS)
            waits.add_metric([*names, f"1/{2 ** (WAIT_SIZES - 1 - size)}", limits[length]], wait)
    yield from families.values()
    yield waits


def node_metrics(judgement: Judgement) -> Iterator[Metric]:
    """Nodes in all, and by name only those that are not well: a healthy site stays a short page."""
    yield _gauge("hetslurm_nodes", "nodes that the board knows", len(judgement.names))
    yield _gauge("hetslurm_nodes_heard", "nodes with a fresh report", int(judgement.heard.sum()))
    yield _gauge("hetslurm_nodes_silent", "nodes that fell silent", int(judgement.silent.sum()))
    yield _gauge("hetslurm_bus_suspected", "1 while the bus is suspected", float(judgement.bus_suspected))
    health = GaugeMetricFamily(
        "hetslurm_node_health", "health below 1, by device kind", labels=["node", "kind"]
    )
    for node, kind in np.argwhere(judgement.health < 1.0):
        health.add_metric([judgement.names[node], KINDS[kind]], float(judgement.health[node, kind]))
    yield health
    findings = GaugeMetricFamily("hetslurm_findings", "findings now, by rule", labels=["rule", "hard"])
    tally = Tally((f.rule, f.is_hard) for found in judgement.findings.values() for f in found)
    for (rule, hard), count in sorted(tally.items()):
        findings.add_metric([rule, str(hard).lower()], count)
    yield findings


def drain_metrics(counts: Mapping[str, int]) -> Iterator[Metric]:
    """What drains came to: totals since the start, and how things stand."""
    totals = {name.removesuffix("_total"): n for name, n in counts.items() if name.endswith("_total")}
    yield _counts("hetslurm_drain_actions", "drains and undrains by what was done", totals)
    now = GaugeMetricFamily("hetslurm_drains", "nodes by how drains concern them", labels=["what"])
    for what, count in sorted(counts.items()):
        if not what.endswith("_total"):
            now.add_metric([what], count)
    yield now


def shadow_metrics(shadow: ShadowFacts) -> Iterator[Metric]:
    """What pools are worth to others, and how that was found; nothing where it is off."""
    if shadow.mode == "off":
        return
    price = GaugeMetricFamily(
        "hetslurm_shadow_price", "seconds of others' time per second of a unit", labels=["pool"]
    )
    for pool, value in sorted(shadow.prices.items()):
        price.add_metric([pool], value)
    yield price
    yield _total("hetslurm_shadow_solves", "solves that gave prices", shadow.solves_total)
    yield _total("hetslurm_shadow_solve_failures", "solves that gave none", shadow.failed_total)
    if shadow.solved_at is not None:
        yield _gauge("hetslurm_shadow_timestamp_seconds", "when the prices were solved", shadow.solved_at)
        yield _gauge("hetslurm_shadow_solve_seconds", "how long it took", shadow.solve_s)
        yield _gauge("hetslurm_shadow_jobs", "jobs of the mix", shadow.jobs)
        yield _gauge("hetslurm_shadow_stretch_seconds", "work beyond its window", shadow.stretch_s)


def learning_metrics(facts: LearningFacts) -> Iterator[Metric]:
    """The history of runs, and what is learnt from it."""
    if facts.source == "off":
        return
    yield _gauge("hetslurm_history_runs", "finished runs in the history", facts.stored)
    yield _gauge("hetslurm_history_ready", "1 once all stored runs are learnt", float(facts.ready))
    yield _gauge("hetslurm_history_estimates", "rows of run estimates that the snapshot gets", facts.rows)
    yield _total("hetslurm_history_errors", "looks for ended runs that failed", facts.errors)
    yield _total("hetslurm_history_jobs_lost", "jobs whose end nobody could tell", facts.lost)
    for name, text, at in (
        ("read", "when Slurm was last asked for ended runs", facts.read_at),
        ("complete", "up to when slurmdbd has been read", facts.read_until),
    ):
        if at is not None:
            yield _gauge(f"hetslurm_history_{name}_timestamp_seconds", text, at)


def plugin_metrics(page: PluginStats) -> Iterator[Metric]:
    """What the plugin counted inside slurmctld."""
    yield _counts("hetslurm_plugin_jobs", "jobs by what the plugin did with them", page.counters)
    latency = GaugeMetricFamily(
        "hetslurm_plugin_latency_seconds", "latency inside slurmctld", labels=["phase", "quantile"]
    )
    for phase, histogram in page.histograms.items():
        for percent in (50, 99):
            value = histogram.percentile_ns(percent)
            if value is not None:
                latency.add_metric([phase, str(percent / 100)], value / 1e9)
    yield latency


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _total(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _counts(name: str, text: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=["what"])
    for what, count in sorted(counts.items()):
        family.add_metric([what], count)
    return family


def trace_metrics(trace: TraceFacts) -> Iterator[Metric]:
    """What became of spans, where there is an endpoint."""
    if trace.endpoint:
        yield _total("hetslurm_trace_spans_sent", "spans that the endpoint took", trace.sent)
        yield _total("hetslurm_trace_spans_lost", "spans that went nowhere", trace.lost)
