"""The statistics page, as the plugin writes it and as people read it."""

from __future__ import annotations

import shutil

import pytest

from hetslurm.errors import SlurmUnavailable
from hetslurm.slurm.stats import Histogram, bucket_bounds, parse_stats, read_stats


def page_of(slurmctld):
    return read_stats(slurmctld.stats.with_name("stats.copy"))


def test_every_outcome_is_counted(slurmctld) -> None:
    slurmctld.publish()
    slurmctld.submit("#!/bin/sh\n#HET target=cpu cpus=1\n", repeat=50)
    placed = page_of(slurmctld)
    slurmctld.submit("#!/bin/sh\n#HET target=cpus\n#HET x=1\n", repeat=3)
    refused = page_of(slurmctld)

    assert placed.counters["seen"] == placed.counters["with_directives"] == placed.counters["placed"] == 50
    assert placed.snapshot["OK"] == 50
    assert refused.counters["refused_parse"] == 3


def test_each_phase_is_timed(slurmctld) -> None:
    slurmctld.publish()
    slurmctld.submit("#!/bin/sh\n#HET target=cpu cpus=1\n", repeat=50)

    stats = page_of(slurmctld)

    assert {name: histogram.total for name, histogram in stats.histograms.items()} == dict.fromkeys(
        ["call", "decision", "take", "parse", "resolve", "score", "rewrite"], 50
    )
    call, parse = stats.histograms["call"].percentile_ns(50), stats.histograms["parse"].percentile_ns(50)
    assert call is not None
    assert parse is not None
    assert 0 < parse < call


def test_job_without_directives_is_only_seen(slurmctld) -> None:
    slurmctld.submit("#!/bin/sh\ntrue\n", repeat=5)

    counters = dict(page_of(slurmctld).counters)

    assert counters.pop("seen") == 5
    assert not any(counters.values())


def test_link_goes_away_with_slurmctld(slurmctld) -> None:
    slurmctld.submit("#!/bin/sh\ntrue\n")

    assert not slurmctld.stats.is_symlink()


@pytest.mark.parametrize("ns", [0, 1, 31, 32, 33, 1000, 123_456, 2**36 + 12345, 2**37 - 1])
def test_percentile_is_within_three_percent(ns: int) -> None:
    low, width = next(
        (low, width)
        for low, width in (bucket_bounds(index, 5) for index in range(1056))
        if low <= ns < low + width
    )
    counts = [0] * 1056
    counts[next(index for index in range(1056) if bucket_bounds(index, 5) == (low, width))] = 1

    middle = Histogram(tuple(counts), 5).percentile_ns(99)

    assert middle is not None
    assert abs(middle - ns) <= 0.03 * ns


def test_percentiles_of_nothing_are_none() -> None:
    assert Histogram((0, 0), 5).percentile_ns(50) is None


def test_page_that_is_none_is_refused(slurmctld, tmp_path) -> None:
    slurmctld.submit("#!/bin/sh\ntrue\n")
    page = slurmctld.stats.with_name("stats.copy").read_bytes()

    for broken in (b"", page[:100], page[:-1], b"\xff" * len(page)):
        with pytest.raises(SlurmUnavailable):
            parse_stats(broken, "page")
    with pytest.raises(SlurmUnavailable, match="No such file"):
        read_stats(tmp_path / "nothing")
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_reloaded_plugin_keeps_no_page_of_its_former_life(slurmctld, monkeypatch) -> None:
    monkeypatch.setenv("HOST_RELOADS", "20")
    slurmctld.publish()

    assert slurmctld.submit("#!/bin/sh\n#HET target=cpu cpus=1\n")["kept_fds"] == "0"
    assert not slurmctld.stats.is_symlink()
