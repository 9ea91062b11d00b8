"""A small cluster in memory, and a controller on it whose clock stands still."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cluster import Cluster, Gres, Node, Partition, QueuedJob
from hetslurm.config import SiteFile
from hetslurm.controller.audit import Audit
from hetslurm.controller.cycle import Plan, plan_cycle, slot_of
from hetslurm.controller.decisions import DecisionLog
from hetslurm.controller.loop import Controller
from hetslurm.controller.placer import Placer
from hetslurm.daemon.log import Log
from hetslurm.daemon.notify import Notifier
from hetslurm.daemon.stop import Stop
from hetslurm.native.kernel import View
from hetslurm.slurm.fake import FakeSlurm

NOW = 1_800_000_000.0
IDLE = frozenset({"IDLE"})


def _small_cluster() -> Cluster:
    """4 cpu nodes of 16 cpus, 2 nodes with one A100 each, 1 with a U250."""
    cpu = [Node(f"cpu{i}", 16, 65536, IDLE) for i in range(1, 5)]
    gpu = [Node(f"gpu{i}", 16, 65536, IDLE, gres=(Gres("gpu", "a100", 1),)) for i in (1, 2)]
    fpga = [Node("fpga1", 16, 65536, IDLE, gres=(Gres("fpga", "u250", 1),))]
    parts = (
        Partition("cpu", tuple(n.name for n in cpu), is_default=True),
        Partition("gpu", tuple(n.name for n in gpu)),
        Partition("fpga", tuple(n.name for n in fpga)),
    )
    return Cluster("test", (22, 5, 8), NOW, (*cpu, *gpu, *fpga), parts, (), uids={"ann": 4001})


def _held_job(job_id: int, het: str, *, pins: str = "", **fields: object) -> QueuedJob:
    """A job that the plugin accepted held."""
    record = {"hetslurm": 1, "state": "held", "gen": 0, "pins": pins, "het": het}
    job = QueuedJob(
        job_id=job_id,
        state="PENDING",
        partition="cpu",
        user="ann",
        nodes=1,
        cpus=1,
        mem_mb_per_node=0,
        time_limit_min=None,
        priority=0,
        submit_at=NOW - 1000 + job_id,
        start_at=None,
        end_at=None,
        reason="JobHeldUser",
        admin_comment=json.dumps(record, separators=(",", ":")),
    )
    return replace(job, **fields)  # type: ignore[arg-type]


@dataclass
class Bench:
    """A controller, what it works on, and what it said."""

    slurm: FakeSlurm
    controller: Controller
    clock: FixedClock
    stop: Stop
    log: io.StringIO
    root: Path

    def cycle(self) -> bool:
        """One cycle with everything open around it, as `--once` does."""
        return self.controller.run(once=True)

    def placer(self) -> tuple[Placer, Plan, View]:
        """A placer of its own, and what it would be given."""
        site = SiteFile(self.root / "hetslurm.toml").site
        decisions, audit = DecisionLog(self.root / "state"), Audit(self.root / "state", self.clock)
        plan = plan_cycle(self.slurm.cluster, site)
        view = View(slot_of(plan, self.slurm.cluster, site, 1, NOW))
        return (
            Placer(self.slurm, decisions, audit, log=Log("json", self.log, self.clock), clock=self.clock),
            plan,
            view,
        )

    def logged(self, event: str) -> list[dict[str, object]]:
        """The log's lines about an event."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    def audit(self) -> list[dict[str, object]]:
        """The audit log."""
        path = self.root / "state" / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def record(self, job_id: int) -> dict[str, object]:
        """A job's record."""
        job = next(job for job in self.slurm.cluster.jobs if job.job_id == job_id)
        return dict(json.loads(job.admin_comment))


@pytest.fixture
def small_cluster() -> Cluster:
    """4 cpu nodes, 2 with an A100, 1 with a U250; no jobs."""
    return _small_cluster()


@pytest.fixture
def held_job() -> Callable[..., QueuedJob]:
    """`held_job(id, het, pins=…, any field=…)`: a job that the plugin accepted held."""
    return _held_job


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    """`make_bench(job, …, toml=…, slurm=…)`: a controller on a cluster in memory."""

    def make(*jobs: QueuedJob, toml: str = "", slurm: FakeSlurm | None = None) -> Bench:
        config = tmp_path / "hetslurm.toml"
        state, snapshot = tmp_path / "state", tmp_path / "snapshot"
        config.write_text(
            f'{toml}\n[controller]\nstate_dir = "{state}"\n[snapshot]\npath = "{snapshot}"\n',
            encoding="utf-8",
        )
        slurm = slurm or FakeSlurm(replace(_small_cluster(), jobs=jobs))
        clock, stop, out = FixedClock(NOW), Stop(), io.StringIO()
        controller = Controller(
            SiteFile(config),
            slurm,
            log=Log("json", out, clock),
            clock=clock,
            stop=stop,
            notifier=Notifier({}),
        )
        return Bench(slurm, controller, clock, stop, out, tmp_path)

    return make
