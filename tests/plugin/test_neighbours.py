"""What the plugin owes to earlier plugins in JobSubmitPlugins, other jobs and slurmctld."""

from __future__ import annotations

import time

import pytest

GPU_OR_CPU = """#!/bin/bash
#HET target=gpu:a100:1 cpus=8 time=1:00
#HET target=cpu cpus=4 time=20:00
"""


def test_words_of_a_plugin_before_ours_are_kept(slurmctld, monkeypatch) -> None:
    monkeypatch.setenv("HOST_MESSAGE", "site: welcome")
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU, repeat=3).message.startswith("site: welcome|hetslurm: gpu:a100:1 in")
    assert slurmctld.submit("#!/bin/sh\nhostname\n").message == "site: welcome"
    assert slurmctld.submit("#!/bin/sh\n#HET targt=1\n").message.startswith("site: welcome|hetslurm: line 2")


@pytest.mark.parametrize(
    "waiting",
    [{"priority": 0}, {"dependency": "afterok:7"}, {"begin_time": int(time.time()) + 3600}],
    ids=["held", "dependent", "deferred"],
)
def test_array_that_may_not_start_pushes_nobody_away(slurmctld, waiting: dict[str, str | int]) -> None:
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU, repeat=2, array_inx="0-999", **waiting)["partition"] == "gpu"


def test_array_that_leaves_room_pushes_nobody_away(slurmctld) -> None:
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU, repeat=2, array_inx="0-999%1")["partition"] == "gpu"
    assert slurmctld.submit(GPU_OR_CPU, repeat=2, array_inx="0-999%2")["partition"] == "cpu"


@pytest.mark.parametrize(
    "array",
    ["0-18446744073709551615", "0-99999999999999999999:3", "1-4294967295", "0-4194303,0-4194303,0-4194303"],
)
def test_array_past_counting_is_as_large_as_any(slurmctld, array: str) -> None:
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU, repeat=2, array_inx=array)["partition"] == "cpu"


@pytest.mark.parametrize(
    "array", ["", "%", "%5", "-", "5-", "9-1", "1-9:0", "[[]]", "0x1f", "a-b", "0-1%999999999999"]
)
def test_nonsense_in_an_array_does_no_harm(slurmctld, array: str) -> None:
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU, array_inx=array)["partition"] == "gpu"
