"""Real slurmctld with a thousand cloud nodes: all are resumed and suspended, and all money is right."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hetslurm.cloudburst.ledger.values import InstanceState
from hetslurm.sandbox import CloudGroup, Sandbox, Spec, parse_nodes

pytestmark = pytest.mark.slurm

NODES = 1000


BURST = """
[provider.sim]
kind = "exec"
command = ["{python}", "{program}", "{file}"]

[[cap]]
level = "site"
per = "day"
limit = 100000
"""


def test_a_thousand_nodes_are_resumed_and_suspended_and_paid(
    make_sandbox: Callable[..., Sandbox], open_site, tmp_path: Path
) -> None:
    spec = Spec(
        parse_nodes("cpu=1"),
        plugins=False,
        controller=False,
        start_slurmd=False,
        cloud=(CloudGroup(NODES, boot_timeout_s=600, idle_s=3),),
        burst_toml=BURST.format(
            python=sys.executable,
            program=Path(__file__).with_name("sim_cloud.py"),
            file=tmp_path / "instances.json",
        ),
    )
    sandbox = make_sandbox(spec)
    site = open_site(sandbox)
    names = spec.cloud[0].node_names()
    job_id = sandbox.submit("#!/bin/sh\nsleep 60\n", "-H", "-o", "/dev/null")
    with site.book as book:
        reservation = site.money(names, job_id)
        book.beat()

        begun = time.monotonic()
        site.send(job_id, *names)
        site.until("all instances", lambda: len(book.instances()) == NODES and _launched(book))
        print(f"resumed in {time.monotonic() - begun:.1f} s")
        assert {instance.node for instance in book.instances()} == set(names)
        assert sandbox.job(job_id)["JobState"] == "CONFIGURING"

        begun = time.monotonic()
        sandbox.run(["scancel", str(job_id)])
        sandbox.run(["scontrol", "update", f"NodeName=cloud[1-{NODES}]", "State=POWER_DOWN_FORCE"])
        site.until("no instance", lambda: not book.instances())
        print(f"suspended and paid in {time.monotonic() - begun:.1f} s")
        site.until("all powered down", lambda: _powered_down(sandbox) == NODES)
        ended = book.instances(live=False)
        assert [i.state for i in ended] == [InstanceState.ENDED] * NODES
        settled = book.release(reservation.res_id, "its job is over")
        assert settled.spent_micro == sum(instance.cost_micro for instance in ended) > 0
        usage = book.usage()[0]
        assert (usage.reserved_micro, usage.spent_micro) == (0, settled.spent_micro)
        assert book.verify() == ()
    site.provider.close()


def _powered_down(sandbox: Sandbox) -> int:
    counts = sandbox.run(["sinfo", "-h", "-p", "cloud", "-t", "powered_down", "-o", "%D"]).stdout.split()
    return sum(map(int, counts))


def _launched(book) -> bool:
    return all(instance.state is InstanceState.LAUNCHED for instance in book.instances())
