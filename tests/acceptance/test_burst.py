"""The whole chain on a real Slurm with agents: a full GPU partition, a job that bursts, and nothing left."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hetslurm.burst.providers import open_providers
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import ReservationState
from hetslurm.cloudburst.policy_file import load_policy
from hetslurm.cloudburst.provider.protocol import SeenState
from hetslurm.sandbox import CloudGroup, Sandbox, Spec, parse_nodes

pytestmark = pytest.mark.slurm

JOB = """#!/bin/sh
#HET app=burst preemptible=yes burst=allow
#HET target=gpu:a100:1 cpus=4 mem=4G time=2
echo "$HET_KIND $HET_TYPE $HET_TARGET $HET_POOL $SLURMD_NODENAME $SLURM_JOB_GPUS"
"""


def test_a_job_bursts_knows_where_it_is_pays_and_leaves_nothing(
    make_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    slurm = make_sandbox(
        Spec(
            parse_nodes("cpu=1,gpu:a100=1"),
            agents=True,
            cloud=(CloudGroup(2, "cloud-gpu", "gpu", "a100", 1, boot_s=0.2, idle_s=3),),
            burst_toml="[spill]\nmin_wait_s = 60\n[retry]\nguard_s = 5\n",
        )
    )
    slurm.submit("#!/bin/sh\nsleep 1000\n", "-p", "gpu", "--gres=gpu:1", "-t", "60", "-o", "/dev/null")
    job_id = slurm.submit(JOB, "-o", f"{tmp_path}/out")

    assert slurm.wait_job(job_id, timeout_s=150)["JobState"] == "COMPLETED"
    kind, type_, target, pool, node, gpus = (tmp_path / "out").read_text().split()
    assert (kind, type_, target, pool) == ("gpu", "a100", "gpu:a100:1", "cloud-gpu")
    assert node.startswith("cloud-gpu")
    assert gpus

    with Book.reader(Book.path_in(slurm.layout.controller_state)) as book:
        _until(slurm, "all is paid", lambda: not book.open_reservations() and not book.instances())
        (reservation,), (instance,) = book.reservations(), book.instances(live=False)
        assert book.verify() == ()
    assert reservation.state is ReservationState.SETTLED
    assert reservation.wanted.job_id == job_id
    assert 0 < instance.cost_micro == reservation.spent_micro < reservation.amount_micro
    _until(slurm, "powered down", lambda: "POWERED_DOWN" in slurm.node(node)["State"])
    provider = open_providers(load_policy(slurm.layout.burst_policy), SystemClock())["local"]
    assert [seen.state for seen in provider.seen()] == [SeenState.ENDED]
    provider.close()
    command = [sys.executable, "-P", "-m", "hetslurm", "report", "cost", "--by", "job", "--json"]
    assert str(job_id) in json.dumps(json.loads(slurm.run(command).stdout))


def _until(slurm: Sandbox, what: str, test: Callable[[], bool]) -> None:
    slurm.waiting.until(what, test, daemons=["slurmctld", "controller"], patience_s=120.0)
