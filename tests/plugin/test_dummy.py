"""Dummy devices are there so that jobs can move; nobody gets one by asking."""

from __future__ import annotations

import pytest

PLAIN = "#!/bin/sh\nhostname\n"
HET = "#!/bin/sh\n#HET target=gpu:a100:1 cpus=2 time=10\n#HET target=cpu cpus=2 time=1:00:00\n"
SETTINGS = "DummyGres=cpu:gpu:a100, :gpu:a100,fpga:gpu\n"


@pytest.fixture
def dummied(slurmctld):
    slurmctld.settings = SETTINGS
    slurmctld.publish()
    return slurmctld


@pytest.mark.parametrize("form", ["tres_per_node", "tres_per_job", "tres_per_task"])
@pytest.mark.parametrize("script", [PLAIN, HET, None])
@pytest.mark.parametrize(
    ("partition", "gres"),
    [
        ("cpu", "gres:gpu:a100:1"),
        ("cpu", "gres/gpu:a100:2"),
        ("cpu", "gres/gpu=1"),
        ("cpu", "gres:gpu"),
        ("cpu", "gres:tmp:5,gres:gpu:1"),
        ("", "gres:gpu:a100"),
        ("gpu,cpu", "gres:gpu:1"),
        ("fpga", "gres:gpu:v100:1"),
    ],
)
def test_whoever_asks_for_a_dummy_is_told_that_it_is_one(dummied, form, script, partition, gres) -> None:
    job = dummied.submit(script, partition=partition, user_id=0, **{form: gres})

    assert job.rc != 0
    assert "only dummies" in job.message


@pytest.mark.parametrize(
    ("partition", "gres"),
    [
        ("gpu", "gres:gpu:a100:1"),
        ("cpu", "gres:gpu:v100:1"),
        ("cpu", "gres:gpux:a100:1"),
        ("cpu", "gres:fpga:u250:1"),
        ("cpux", "gres:gpu:1"),
        ("fpga", "gres:fpga:1"),
        ("cpu", ""),
        ("cpu", ",gres:"),
    ],
)
def test_what_is_no_dummy_there_is_left_alone(dummied, partition, gres) -> None:
    job = dummied.submit(PLAIN, partition=partition, tres_per_node=gres)

    assert (job.rc, job.message, job["tres_per_node"]) == (0, "", gres)


def test_a_site_without_dummies_refuses_nothing(slurmctld) -> None:
    assert slurmctld.submit(PLAIN, partition="cpu", tres_per_node="gres:gpu:a100:1").rc == 0
