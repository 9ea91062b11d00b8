"""A real Slurm whose cloud nodes are slurmd that the local provider starts; the tests play the controller."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hetslurm.burst.providers import open_providers
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Instance, InstanceState, Payer, Reservation, Wanted
from hetslurm.cloudburst.policy_file import load_policy
from hetslurm.cloudburst.provider.protocol import Provider, SeenState
from hetslurm.cloudburst.worst_case import worst_case
from hetslurm.sandbox import CloudGroup, Sandbox, Spec, parse_nodes

HELD = "#!/bin/sh\n#HET target=cpu cpus=1 time=5\n#HET burst=only preemptible=yes\n"
PATIENCE_S = 120.0


@dataclass
class CloudSite:
    """A sandbox with a cloud, its book, and what its provider sees."""

    slurm: Sandbox
    book: Book
    provider: Provider

    def money(self, nodes: tuple[str, ...], job_id: int = 0, *, limit_s: float = 300.0) -> Reservation:
        """Set the worst case aside for these nodes, as admission does."""
        policy = load_policy(self.slurm.layout.burst_policy)
        pool = next(p for p in policy.pools if nodes[0].startswith(p.partition))
        worst = worst_case(pool, policy.retry, nodes=len(nodes), limit_s=limit_s)
        return self.book.reserve(
            Wanted(
                job_id=job_id or time.monotonic_ns(),
                submit_at=0,
                payer=Payer("lab", "root"),
                partition=pool.partition,
                node_names=nodes,
                price_cap_micro=pool.max_price_micro,
                attempts=worst.attempts,
                attempt_s=worst.attempt_s,
                attempt_micro=worst.attempt_micro,
                amount_micro=worst.total_micro,
                limit_s=limit_s,
                expires_at=time.time() + 3600,
            )
        )

    def held(self, script: str = "sleep 300\n", *options: str, user: str | None = None) -> int:
        """A job that waits for the cloud."""
        return self.slurm.submit(f"{HELD}{script}", "-o", "/dev/null", *options, user=user)

    def send(self, job_id: int, *nodes: str) -> None:
        """Move a held job to cloud nodes and release it, as the controller does."""
        partition = nodes[0].rstrip("0123456789")
        words = [f"JobId={job_id}", f"Partition={partition}", f"NumNodes={len(nodes)}"]
        self.slurm.run(["scontrol", "update", *words, f"ReqNodeList={','.join(nodes)}"])
        self.slurm.run(["scontrol", "release", str(job_id)])

    def alive(self, node: str = "") -> list[str]:
        """Ids of instances that run, or are about to, at the provider."""
        return [
            seen.instance_id
            for seen in self.provider.seen()
            if seen.state is not SeenState.ENDED and node in ("", seen.node)
        ]

    def instances(self, node: str) -> list[Instance]:
        """All that the book ever had of a node."""
        return [instance for instance in self.book.instances(live=False) if instance.node == node]

    def program(self, command: str, *nodes: str) -> subprocess.Popen[bytes]:
        """Start one of the three programs as slurmctld does."""
        path = self.slurm.layout.programs / f"hetslurm-{command}"
        return subprocess.Popen([str(path), ",".join(nodes)], env={}, start_new_session=True)

    def reason(self, node: str) -> str:
        """Why Slurm says that a node is not of use, without who said it."""
        return self.slurm.node(node).get("Reason", "").partition(" [")[0]

    def until(self, what: str, test: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        self.slurm.waiting.until(what, test, daemons=["slurmctld"], patience_s=PATIENCE_S)

    def until_powered_down(self, *nodes: str) -> None:
        """Nothing of these nodes is left in Slurm or at the provider, and all of it is paid."""

        def is_down() -> bool:
            return all(
                "POWERED_DOWN" in (state := self.slurm.node(node)["State"]) and "DOWN+" not in f"+{state}"
                for node in nodes
            )

        self.until(f"{', '.join(nodes)} powered down", is_down)
        assert not [one for node in nodes for one in self.alive(node)]
        live = [i.node for i in self.book.instances() if i.node in nodes]
        assert not live, self.slurm.layout.log.joinpath("burst.log").read_text()

    def spent_micro(self, res_id: int) -> int:
        """What a reservation paid, which must be what its instances cost."""
        paid = self.book.reservation(res_id).spent_micro
        costs = [i.cost_micro for i in self.book.instances_of(res_id) if i.state is InstanceState.ENDED]
        assert paid == sum(costs)
        return paid


def _open_site(sandbox: Sandbox) -> CloudSite:
    clock = SystemClock()
    policy = load_policy(sandbox.layout.burst_policy)
    providers = open_providers(policy, clock)
    book = Book(Book.path_in(sandbox.layout.controller_state), clock, policy.caps, cluster="sandbox")
    return CloudSite(sandbox, book, next(iter(providers.values())))


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A folder on tmpfs: a book there need not wait for a disk."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-", dir=base) as folder:
        yield Path(folder)


@pytest.fixture
def open_site() -> Callable[[Sandbox], CloudSite]:
    """The book and the provider of a sandbox."""
    return _open_site


@pytest.fixture(scope="session")
def cloud_site(make_session_sandbox: Callable[..., Sandbox]) -> Iterator[CloudSite]:
    spec = Spec(
        parse_nodes("cpu=1"),
        controller=False,
        # What one test does to an offering is not to last into the next.
        burst_toml="[retry.cooldown_s]\ncapacity = 0\n",
        cloud=(
            CloudGroup(9, boot_s=0.2, boot_timeout_s=30, idle_s=3),
            CloudGroup(1, "late", boot_s=0.2, boot_timeout_s=2, idle_s=3),
        ),
    )
    site = _open_site(make_session_sandbox(spec))
    yield site
    site.book.close()
    site.provider.close()


@pytest.fixture
def cloud(cloud_site: CloudSite) -> CloudSite:
    """The controller lives, and nothing runs."""
    cloud_site.book.beat()
    for reservation in cloud_site.book.open_reservations():
        cloud_site.book.release(reservation.res_id, "the next test")
    return cloud_site
