"""The controller's Prometheus page says what only hetslurm knows, on loopback alone."""

from __future__ import annotations

import io
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hetslurm.controller.metrics import Facts, MetricsPage
from hetslurm.controller.status import Status
from hetslurm.daemon.log import Log
from hetslurm.estimate import Estimate, Source
from hetslurm.health.judgement import Finding, Judgement
from hetslurm.pool import Pool

POOL = Pool(
    "gpu", "gpu", "gpu", "a100", ("gpu1", "gpu2"), 16, 1, 1000, units=2.0, units_free=1.0,
    wait_s=(0.0,) * 28 + (60.0,) * 4, health=Estimate(0.5, Source.MEASURED), speed=Estimate(0.9),
)  # fmt: skip
JUDGEMENT = Judgement(
    at=100.0,
    names=("gpu1", "gpu2"),
    health=np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]),
    speed=np.ones((2, 3)),
    heard=np.array([True, True]),
    silent=np.array([False, False]),
    findings={"gpu1": (Finding("gpu", 0, "gpu_lost", "gpu 0: lost", 90.0, is_hard=True),)},
)
FACTS = Facts(
    status=Status(pid=1, started_at=0.0, updated_at=100.0, cycles=7, held=3, placed_total=5),
    pools=(POOL,),
    judgement=JUDGEMENT,
    bus={"accepted": 12, "forged": 1},
    drains={"drain_total": 1, "held": 1},
    breaker_open=True,
    steered=2,
)


@pytest.fixture
def page() -> Iterator[tuple[MetricsPage, io.StringIO]]:
    out = io.StringIO()
    made = MetricsPage(Log("text", out))
    yield made, out
    made.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scrape(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_a_scrape_shows_pools_nodes_findings_bus_and_drains(page: tuple[MetricsPage, io.StringIO]) -> None:
    port = free_port()
    page[0].follow(port)
    page[0].update(FACTS)
    seen = scrape(port)
    pool = {"pool": "gpu", "kind": "gpu", "type": "a100"}
    assert seen[key("hetslurm_cycles_total")] == 7
    assert seen[key("hetslurm_pool_health", **pool)] == 0.5
    assert seen[key("hetslurm_pool_units_free", **pool)] == 1
    assert seen[key("hetslurm_pool_wait_seconds", share="1/1", limit="inf", **pool)] == 60
    assert seen[key("hetslurm_pool_wait_seconds", share="1/128", limit="60", **pool)] == 0
    assert seen[key("hetslurm_node_health", node="gpu1", kind="gpu")] == 0
    assert seen[key("hetslurm_findings", rule="gpu_lost", hard="true")] == 1
    assert seen[key("hetslurm_bus_messages_total", what="forged")] == 1
    assert seen[key("hetslurm_drain_actions_total", what="drain")] == 1
    assert seen[key("hetslurm_drains", what="held")] == 1
    assert seen[key("hetslurm_drain_breaker_open")] == 1
    assert seen[key("hetslurm_nodes_steered")] == 2


def test_a_healthy_node_has_no_line_of_its_own(page: tuple[MetricsPage, io.StringIO]) -> None:
    port = free_port()
    page[0].follow(port)
    page[0].update(replace(FACTS, judgement=replace(JUDGEMENT, health=np.ones((2, 3)), findings={})))
    names = {name for name, _ in scrape(port)}
    assert "hetslurm_nodes" in names
    assert "hetslurm_node_health" not in names


def test_the_page_follows_the_configuration(page: tuple[MetricsPage, io.StringIO]) -> None:
    first, second = free_port(), free_port()
    page[0].update(FACTS)
    page[0].follow(first)
    page[0].follow(second)
    assert scrape(second)
    with pytest.raises(OSError, match="refused"):
        scrape(first)
    page[0].follow(0)
    with pytest.raises(OSError, match="refused"):
        scrape(second)


def test_a_port_that_is_taken_is_said_once_and_stops_nothing(page: tuple[MetricsPage, io.StringIO]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        page[0].follow(port)
        page[0].follow(port)
        page[0].update(FACTS)
    assert page[1].getvalue().count("no metrics page") == 1
