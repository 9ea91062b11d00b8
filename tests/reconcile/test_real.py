"""Real slurmctld, real controller, real instances: what a cloud does to jobs, and what becomes of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hetslurm.burst.providers import open_providers
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import InstanceState, Reservation
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.policy_file import load_policy
from hetslurm.cloudburst.provider.local.faults import give_notice, lose
from hetslurm.cloudburst.provider.local.provider import LocalProvider
from hetslurm.cloudburst.provider.protocol import Order, Seen, SeenState
from hetslurm.sandbox import CloudGroup, Sandbox, Spec, parse_nodes

pytestmark = pytest.mark.slurm

HET = "#!/bin/sh\n#HET target=cpu cpus=1 time=5\n#HET burst=only preemptible=yes\n"
BURST = """
[retry]
guard_s = 3
grace_s = 3
reservation_s = 120
[retry.cooldown_s]
capacity = 3
interrupted = 0
"""
# Runs until it is told to save its work; the second run ends at once.
SAVES = """trap 'echo saved >> {out}; exit 0' USR1
echo run ${{SLURM_RESTART_COUNT:-0}} on $SLURMD_NODENAME >> {out}
test -n "$SLURM_RESTART_COUNT" && exit 0
for i in $(seq 300); do sleep 1; done
"""


@dataclass
class Site:
    """A sandbox with a controller and a cloud, and a look at both."""

    slurm: Sandbox
    book: Book
    provider: LocalProvider
    policy: Policy

    def submit(self, script: str, *options: str) -> int:
        """A job that may run in the cloud only."""
        return self.slurm.submit(f"{HET}{script}", "-o", "/dev/null", *options)

    def until(self, what: str, test: Callable[[], bool]) -> None:
        """Wait for it."""
        try:
            self.slurm.waiting.until(what, test, daemons=["slurmctld"], patience_s=150.0)
        except Exception as error:
            log = (self.slurm.layout.log / "controller.out").read_text()[-6000:]
            raise AssertionError(f"{error}\n{log}") from error

    def runs(self, job_id: int) -> str:
        """The node that it runs on, when it does."""
        self.until(f"job {job_id} runs", lambda: self.slurm.job(job_id)["JobState"] == "RUNNING")
        return self.slurm.job(job_id)["NodeList"]

    def ends(self, job_id: int, state: str = "COMPLETED") -> None:
        """It is over, and all that it had in the cloud, too; the ledger is sound."""
        self.until(f"job {job_id} is over", lambda: self.slurm.job(job_id)["JobState"] == state)
        self.until("its money is given back", lambda: not self.of(job_id).state.is_open)
        assert not [i for i in self.book.instances_of(self.of(job_id).res_id) if i.state.is_live]
        assert self.book.verify() == ()

    def of(self, job_id: int) -> Reservation:
        """The newest reservation of a job."""
        return next(r for r in reversed(self.book.reservations()) if r.wanted.job_id == job_id)

    def folder(self, node: str) -> Path:
        """The folder of a node's instance."""
        found = self.provider.folder_of(node)
        assert found is not None
        return found

    def alive(self) -> list[Seen]:
        """What runs."""
        return [seen for seen in self.provider.seen() if seen.state is not SeenState.ENDED]

    def audit(self) -> list[str]:
        """What was done, by name."""
        text = (self.slurm.layout.controller_state / "audit.jsonl").read_text()
        return [json.loads(line)["action"] for line in text.splitlines()]


@pytest.fixture(scope="module")
def site(make_session_sandbox: Callable[..., Sandbox]) -> Iterator[Site]:
    slurm = make_session_sandbox(
        Spec(parse_nodes("cpu=1,gpu:a100=1"), cloud=(CloudGroup(6, boot_s=0.2, idle_s=3),), burst_toml=BURST)
    )
    clock = SystemClock()
    policy = load_policy(slurm.layout.burst_policy)
    provider = next(iter(open_providers(policy, clock).values()))
    assert isinstance(provider, LocalProvider)
    book_path = Book.path_in(slurm.layout.controller_state)
    slurm.waiting.until("the controller's book", book_path.exists, daemons=["slurmctld"])
    book = Book(book_path, clock)
    yield Site(slurm, book, provider, policy)
    book.close()
    provider.close()


@dataclass(frozen=True)
class Told:
    """A job that something happened to, what it wrote, and the node that it ran on first."""

    job_id: int
    out: Path
    node: str

    def said(self) -> list[str]:
        """Its lines."""
        return self.out.read_text().splitlines()


@pytest.fixture(scope="module")
def told(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Each boot takes Slurm up to half a minute: all jobs run, and all is done to them, at once."""
    folder = tmp_path_factory.mktemp("told")
    scripts = {
        "goes-on": SAVES.replace("; exit 0' USR1", "' USR1"),
        "ends": SAVES,
        "lost": SAVES,
        "raised": "sleep 900\n",
    }
    ids = {name: site.submit(script.format(out=folder / name)) for name, script in scripts.items()}
    jobs = {name: Told(job_id, folder / name, site.runs(job_id)) for name, job_id in ids.items()}
    for name in ("goes-on", "ends", "lost"):
        site.until(f"{name} began", jobs[name].out.exists)
    for name in ("goes-on", "ends"):
        give_notice(site.folder(jobs[name].node), time.time() + 90)
    lose(site.folder(jobs["lost"].node))
    return jobs


def test_an_interrupted_job_saves_its_work_and_is_run_again(site: Site, told: dict[str, Told]) -> None:
    job = told["goes-on"]
    site.ends(job.job_id)
    assert [line for line in job.said() if line != "saved"] == [
        f"run 0 on {job.node}",
        f"run 1 on {job.node}",
    ]
    assert "saved" in job.said()
    first, second = site.book.instances_of(site.of(job.job_id).res_id)
    assert (first.state, second.state) == (InstanceState.ENDED, InstanceState.ENDED)
    assert {"burst-interruption-signal", "burst-interruption-requeue"} <= set(site.audit())


def test_a_job_that_ends_in_the_grace_is_not_run_again(site: Site, told: dict[str, Told]) -> None:
    job = told["ends"]
    site.ends(job.job_id)
    assert job.said() == [f"run 0 on {job.node}", "saved"]
    assert len(site.book.instances_of(site.of(job.job_id).res_id)) == 1


def test_an_instance_that_is_lost_is_paid_and_its_job_run_again(site: Site, told: dict[str, Told]) -> None:
    job = told["lost"]
    site.ends(job.job_id)
    assert job.said() == [f"run 0 on {job.node}", f"run 1 on {job.node}"]
    lost, again = site.book.instances_of(site.of(job.job_id).res_id)
    assert lost.why.startswith("lost: ")
    assert again.cost_micro > 0


def test_an_orphan_is_dead_within_90_seconds(site: Site) -> None:
    pool = site.policy.pools[0]
    begun = time.monotonic()
    order = Order(
        "cloud6", 99, "sandbox-cloud6-99", pool, pool.purchases[0], "a", pool.max_price_micro,
        time.time() + 600,
        {"cluster": "sandbox"},
    )  # fmt: skip
    site.provider.launch([order])
    assert [seen.token for seen in site.alive() if seen.node == "cloud6"] == [order.token]
    site.until("it is gone", lambda: not [s for s in site.alive() if s.token == order.token])
    assert time.monotonic() - begun < 90


def test_a_raised_limit_is_funded_or_goes_back(site: Site, told: dict[str, Told]) -> None:
    job_id = told["raised"].job_id
    site.slurm.run(["scontrol", "update", f"JobId={job_id}", "TimeLimit=20"])
    site.until("it is funded", lambda: site.of(job_id).limit_s == 1200)
    (live,) = [i for i in site.book.instances_of(site.of(job_id).res_id) if i.state.is_live]
    deadline = site.folder(live.node) / "deadline.json"
    site.until("its instance is told", lambda: json.loads(deadline.read_text())["at"] == live.deadline_at)
    site.slurm.run(["scontrol", "update", f"JobId={job_id}", "TimeLimit=30-0"])
    site.until("the limit is back", lambda: site.slurm.job(job_id)["TimeLimit"] == "00:20:00")
    assert "its time limit is 20 min again" in site.slurm.job(job_id)["AdminComment"]
    site.slurm.run(["scancel", str(job_id)])
    site.ends(job_id, "CANCELLED")


def test_where_there_is_no_capacity_the_job_waits_and_says_why(site: Site) -> None:
    faults = site.slurm.layout.cloud / "faults.json"
    faults.write_text(json.dumps({"launch": [{"how": "capacity"}]}))
    try:
        job_id = site.submit("true\n")
        site.until("a node says why", lambda: any(_reasons(site, "hetslurm: capacity: ")))
        assert site.slurm.job(job_id)["JobState"] == "PENDING"
    finally:
        faults.unlink()
    site.ends(job_id)


def _reasons(site: Site, begin: str) -> Iterator[str]:
    for name in (f"cloud{i}" for i in range(1, 7)):
        if site.slurm.node(name).get("Reason", "").startswith(begin):
            yield name
