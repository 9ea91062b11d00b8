"""A sandbox's cloud: what it writes, and that nothing of it outlives the sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hetslurm.burst.providers import open_providers
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.policy_file import load_policy
from hetslurm.cloudburst.provider.protocol import Order, SeenState
from hetslurm.sandbox import CloudGroup, Sandbox, Spec, parse_nodes
from hetslurm.sandbox.process import of_sandbox

pytestmark = pytest.mark.slurm


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    cloud = (CloudGroup(2, idle_s=3), CloudGroup(1, "cloud-gpu", "gpu", "a100", 2, max_price="9.5"))
    return make_sandbox(Spec(parse_nodes("cpu=1"), controller=False, cloud=cloud))


def test_its_nodes_are_powered_down_and_its_policy_has_a_pool_for_each_group(sandbox: Sandbox) -> None:
    assert sandbox.node("cloud2")["State"] == "IDLE+CLOUD+POWERED_DOWN"
    assert sandbox.node("cloud-gpu1")["Gres"] == "gpu:a100:2"
    policy = load_policy(sandbox.layout.burst_policy)
    assert [(p.partition, p.max_price_micro) for p in policy.pools] == [
        ("cloud", 4_000_000),
        ("cloud-gpu", 9_500_000),
    ]
    text = sandbox.layout.slurm_conf.read_text()
    assert text.count("SlurmctldParameters=") == 1
    assert "CloudPartitions=cloud,cloud-gpu\n" in (sandbox.root / "job_submit_hetslurm.conf").read_text()


def test_an_instance_that_runs_ends_with_the_sandbox(sandbox: Sandbox) -> None:
    policy = load_policy(sandbox.layout.burst_policy)
    provider = open_providers(policy, SystemClock())["local"]
    pool: CloudPool = policy.pools[0]
    deadline_at = time.time() + 600
    order = Order("cloud1", 1, "t", pool, Purchase.SPOT, "a", pool.max_price_micro, deadline_at)
    provider.launch([order])
    sandbox.waiting.until("a slurmd", lambda: any(one.state is SeenState.RUNNING for one in provider.seen()))
    before = of_sandbox(sandbox.root)

    sandbox.down()

    assert len(before) > 4
    assert not of_sandbox(sandbox.root)
    assert not sandbox.root.exists()
    provider.close()
