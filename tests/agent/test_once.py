"""One probe, here and now, on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hetslurm.agent.metrics import exported
from hetslurm.agent.once import run_probe
from hetslurm.agent.probes import EVERY_BEATS, MEASURED, OPENERS
from hetslurm.cli.probe import as_document, in_words
from hetslurm.clock import SystemClock
from hetslurm.site import AgentSite
from hetslurm.telemetry import HOST, PROBES, SCHEMAS, Meaning, Metric, ProbeState, Row, Sample

from .conftest import good, hang, scripted


def _hetslurm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "hetslurm", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_there_is_an_opener_for_every_probe() -> None:
    assert set(OPENERS) == set(PROBES)
    assert {"host", "gpu", "fpga"} == MEASURED
    assert set(EVERY_BEATS) <= set(PROBES)


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_runs_here_and_is_shown_as_json(name: str) -> None:
    done = _hetslurm("probe", name, "--json", "--config", "/dev/null")
    document = json.loads(done.stdout)
    assert set(document) == {"probe", "state", "message", "took_s", "rows"}
    assert (document["probe"], done.returncode) == (name, 0)
    assert document["state"] in ("ok", "absent")
    names = {metric.name for metric in SCHEMAS[name]}
    assert all(set(row["values"]) == names for row in document["rows"])


def test_people_see_a_table_with_what_is_unknown(tmp_path: Path) -> None:
    config = tmp_path / "hetslurm.toml"
    config.write_text(f'[agent]\nmounts = ["{tmp_path}/none"]\n')
    done = _hetslurm("probe", "mount", "--config", str(config))
    assert done.returncode == 0
    assert "mount is ok" in done.stdout
    assert f"{tmp_path}/none" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["mounted", "no"] in lines
    assert ["used_ratio", "unknown"] in lines


def test_a_probe_that_does_not_exist_is_refused() -> None:
    done = _hetslurm("probe", "disk")
    assert done.returncode == 2
    assert "host, link, mount, gpu, fpga, instance" in " ".join(done.stderr.split())


def test_unknown_is_null_and_never_zero() -> None:
    run = run_probe(
        "host", AgentSite(), clock=SystemClock(), openers=scripted(lambda: good(load1=0.5, cpus=float("nan")))
    )
    (row,) = as_document(run)["rows"]
    assert (row["values"]["load1"], row["values"]["cpus"], row["values"]["mem_gbs"]) == (0.5, None, None)
    assert row["facts"] == {"id": "me"}


def test_a_probe_that_hangs_is_killed_here_too() -> None:
    run = run_probe("host", AgentSite(deadline_s=0.5), clock=SystemClock(), openers=scripted(hang))
    assert run.sample.state is ProbeState.TIMED_OUT


@pytest.fixture
def measured() -> Callable[[Sample], dict[str, object]]:
    """What `--measure` shows where the benchmark says that."""

    def show(sample: Sample) -> dict[str, object]:
        openers = scripted(lambda: good(load1=0.5), lambda: sample)
        return as_document(run_probe("host", AgentSite(), clock=SystemClock(), measure=True, openers=openers))

    return show


def test_rates_are_shown_beside_the_sample(measured: Callable[[Sample], dict[str, object]]) -> None:
    document = measured(good(mem_gbs=20.0))
    (row,) = document["rows"]  # type: ignore[misc]
    assert (row["values"]["load1"], row["values"]["mem_gbs"]) == (0.5, 20.0)
    assert row["values"]["measured_age_s"] == 0


def test_a_device_that_is_busy_says_so(measured: Callable[[Sample], dict[str, object]]) -> None:
    document = measured(Sample("host", ProbeState.OK, (Row(),), "not idle: load average 3"))
    assert document["message"] == "not idle: load average 3"
    (row,) = document["rows"]  # type: ignore[misc]
    assert (row["values"]["load1"], row["values"]["mem_gbs"]) == (0.5, None)


def test_a_benchmark_that_fails_shows_in_the_state(measured: Callable[[Sample], dict[str, object]]) -> None:
    document = measured(Sample("host", ProbeState.FAILED, (), "no memory"))
    assert (document["state"], document["message"]) == ("failed", "no memory")


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        (Metric("up", "", "", Meaning.FLAG), 1.0, "yes"),
        (Metric("up", "", "", Meaning.FLAG), 0.0, "no"),
        (Metric("up", "", "", Meaning.FLAG), float("nan"), "unknown"),
        (HOST[0], 3.0, "3"),
        (HOST[0], 0.123456, "0.1235"),
        (HOST[0], float("inf"), "inf"),
    ],
)
def test_numbers_for_people(metric: Metric, value: float, text: str) -> None:
    assert in_words(metric, value) == text


def test_prometheus_names_are_clean_and_differ() -> None:
    names = [exported(probe, metric)[0] for probe, metrics in SCHEMAS.items() for metric in metrics]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.replace("_", "").isalnum() for name in names)
    by_name = {metric.name: metric for metric in SCHEMAS["gpu"]}
    assert exported("gpu", by_name["temperature_c"]) == ("hetslurm_gpu_temperature_celsius", 1.0)
    assert exported("gpu", by_name["mem_total_mb"]) == ("hetslurm_gpu_mem_total_bytes", 2.0**20)
    assert exported("gpu", by_name["copy_gbs"]) == ("hetslurm_gpu_copy_bytes_per_second", 1e9)
    assert exported("gpu", by_name["measured_age_s"]) == ("hetslurm_gpu_measured_age_seconds", 1.0)
