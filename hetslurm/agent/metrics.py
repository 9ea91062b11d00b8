"""What Prometheus is told: how the agent is, and the numbers of every device in base units."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import isnan

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from hetslurm.agent.observed import Observed, device_key
from hetslurm.agent.page import Facts
from hetslurm.agent.usage import read_usage
from hetslurm.telemetry import SCHEMAS, Meaning, Metric, ProbeState, Row

# Unit of a metric: the ending of its name that says so, the one in base units, the factor between them.
_BASE = {
    "": ("", "", 1.0),
    "%": ("", "_ratio", 0.01),
    "s": ("_s", "_seconds", 1.0),
    "°C": ("_c", "_celsius", 1.0),
    "W": ("_w", "_watts", 1.0),
    "MiB": ("_mb", "_bytes", float(1 << 20)),
    "MHz": ("_mhz", "_hertz", 1e6),
    "Mbit/s": ("_mbps", "_bytes_per_second", 125e3),
    "GB/s": ("_gbs", "_bytes_per_second", 1e9),
    "GFLOP/s": ("_gflops", "_flops_per_second", 1e9),
    "TFLOP/s": ("_tflops", "_flops_per_second", 1e12),
}


def exported(probe: str, metric: Metric) -> tuple[str, float]:
    """Prometheus' name of a metric, and what to multiply it by."""
    old, new, factor = _BASE[metric.unit]
    return f"hetslurm_{probe}_{metric.name.removesuffix(old)}{new}", factor


class Exporter(Collector):
    """Serves the newest Facts. A scrape reads them and /proc, and keeps no beat waiting."""

    def __init__(self, address: str, port: int) -> None:
        """Raises OSError where the port is taken."""
        self.facts: Facts | None = None
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        self._server, self._thread = start_http_server(port, addr=address, registry=registry)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def describe(self) -> Iterator[Family]:
        """Nothing ahead of a scrape."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """See prometheus_client's Collector."""
        facts = self.facts
        if facts is None:
            return
        yield from agent_metrics(facts)
        yield from probe_metrics(facts, time.monotonic())
        for observed in facts.observed:
            yield from device_metrics(observed)


def agent_metrics(facts: Facts) -> Iterator[Family]:
    """Reports, connections, and what the agent itself takes."""
    sent = CounterMetricFamily("hetslurm_agent_reports_sent", "reports handed over", labels=["endpoint"])
    dropped = CounterMetricFamily(
        "hetslurm_agent_reports_dropped", "reports that found no connection", labels=["endpoint"]
    )
    failed = CounterMetricFamily(
        "hetslurm_agent_handshakes_failed", "handshakes that failed", labels=["endpoint"]
    )
    connected = GaugeMetricFamily(
        "hetslurm_agent_connected", "1 while there is a connection", labels=["endpoint"]
    )
    for endpoint, traffic in facts.traffic.items():
        sent.add_metric([endpoint], traffic.sent)
        dropped.add_metric([endpoint], traffic.dropped)
        failed.add_metric([endpoint], traffic.handshakes_failed)
        connected.add_metric([endpoint], float(traffic.connected))
    yield from (sent, dropped, failed, connected)
    usage = read_usage(facts.pids)
    yield CounterMetricFamily(
        "hetslurm_agent_cpu_seconds", "processor time of the agent and its probes", value=usage.cpu_s
    )
    yield GaugeMetricFamily(
        "hetslurm_agent_memory_bytes", "memory of the agent and its probes", value=usage.memory_bytes
    )


def probe_metrics(facts: Facts, now: float) -> Iterator[Family]:
    """How the probes are; `now` is monotonic."""
    runs = CounterMetricFamily(
        "hetslurm_agent_probe_runs", "runs by how they ended", labels=["probe", "task", "state"]
    )
    for names, count in facts.runs.items():
        runs.add_metric(names, count)
    state = GaugeMetricFamily(
        "hetslurm_agent_probe_state", "1 for how the newest run ended", labels=["probe", "state"]
    )
    took = GaugeMetricFamily(
        "hetslurm_agent_probe_duration_seconds", "what the newest run took", labels=["probe"]
    )
    age = GaugeMetricFamily(
        "hetslurm_agent_probe_age_seconds", "age of the newest good sample", labels=["probe"]
    )
    for observed in facts.observed:
        for one in ProbeState:
            state.add_metric([observed.probe, one.label], float(one is observed.state))
        took.add_metric([observed.probe], observed.took_s)
        age.add_metric([observed.probe], max(0.0, now - observed.sampled_at))
    yield from (runs, state, took, age)


def device_metrics(observed: Observed) -> Iterator[Family]:
    """A family a metric, a sample a device; what is unknown is left out."""
    names = _names(observed.rows)
    for metric in SCHEMAS[observed.probe]:
        name, factor = exported(observed.probe, metric)
        kind = CounterMetricFamily if metric.meaning is Meaning.COUNTER else GaugeMetricFamily
        family = kind(name, metric.text, labels=["device"])
        for device, row in zip(names, observed.rows, strict=True):
            value = row.values.get(metric.name, float("nan"))
            if not isnan(value):
                family.add_metric([device], value * factor)
        if family.samples:
            yield family


def _names(rows: tuple[Row, ...]) -> list[str]:
    """What devices are called, each differently: two samples of one name would spoil the page."""
    keys = [device_key(row, place) for place, row in enumerate(rows)]
    return [key if keys.count(key) == 1 else f"{key}#{place}" for place, key in enumerate(keys)]
