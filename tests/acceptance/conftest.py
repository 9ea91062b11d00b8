"""What the acceptance tests share: a cluster that they change, and awaiting what was published of it."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hetslurm.errors import SnapshotError
from hetslurm.sandbox import Sandbox
from hetslurm.sandbox.process import of_sandbox
from hetslurm.slot import header_of
from hetslurm.snapshot.writer import read_view, slot_array

# Long enough for a machine that is busy with other things: only a test that fails waits so long.
PATIENCE_S = 90.0
NODES = "cpu=4,gpu:a100:2=2,fpga:u250:2=1"
TRUE = "#!/bin/sh\ntrue\n"


def command_line(pid: int) -> bytes:
    """As /proc has it; b"" of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@dataclass(frozen=True)
class Verdict:
    """What became of one sbatch: the job's id, or None when it was refused; and what the author read."""

    job_id: int | None
    words: str


class Cluster:
    """A sandbox as these tests use it: most jobs are held by their author, since where they lie is enough."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._submitted: list[int] = []

    @staticmethod
    def wait_for(what: str, met: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
        """The first true answer of `met`; fails the test when there is none in time."""
        deadline = time.monotonic() + timeout_s
        while not (answer := met()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout_s:.0f} s in vain: {what}")
            time.sleep(0.05)
        return answer

    def admin(self, *command: str) -> str:
        """Run as root; its output."""
        return str(self.sandbox.run(list(command)).stdout)

    def submit(
        self,
        *options: str,
        user: str | None = None,
        script: str = TRUE,
        hold: bool = True,
        env: dict[str, str] | None = None,
    ) -> Verdict:
        """One sbatch of a script."""
        command = ["sbatch", "--parsable", "--chdir=/tmp", *(["--hold"] if hold else [])]
        if not any(option.startswith("--output") for option in options):
            command.append("--output=/dev/null")
        done = self.sandbox.run([*command, *options], user=user, check=False, input=script, env=env)
        if done.returncode:
            return Verdict(None, done.stderr)
        job_id = int(done.stdout.split(";")[0])
        self._submitted.append(job_id)
        return Verdict(job_id, done.stderr)

    def finished(self, job_id: int, timeout_s: float = 180.0) -> dict[str, str]:
        """Slurm's words on the job once it has ended."""

        def ended() -> dict[str, str] | None:
            job = dict(self.sandbox.job(job_id))
            return None if job["JobState"] in {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING"} else job

        return dict(self.wait_for(f"job {job_id} to end", ended, timeout_s))

    def environment_of(
        self, *options: str, script: str = "#!/bin/sh\nenv -0\n", **how: Any
    ) -> dict[str, str]:
        """The environment that a batch job of these options finds, and `_job`: its id."""
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            Path(folder).chmod(0o777)
            verdict = self.submit(*options, f"--output={folder}/out", script=script, hold=False, **how)
            assert verdict.job_id is not None, verdict.words
            job = self.finished(verdict.job_id)
            text = Path(folder, "out").read_text() if Path(folder, "out").exists() else ""
            assert job["JobState"] == "COMPLETED", f"{job}\n{text}"
        pairs = (entry.partition("=") for entry in text.split("\0") if entry)
        return {name: value for name, _, value in pairs} | {"_job": str(verdict.job_id)}

    def partition_of(self, verdict: Verdict) -> str:
        """Where the job lies; fails when it was refused."""
        assert verdict.job_id is not None, verdict.words
        return str(self.sandbox.job(verdict.job_id)["Partition"])

    def record(self, job_id: int) -> dict[str, Any]:
        """hetslurm's record of the job; {} when it has none."""
        text = self.sandbox.job(job_id).get("AdminComment", "")
        return dict(json.loads(text)) if text.startswith("{") else {}

    def await_requeued(self, job_id: int) -> None:
        """Return when the job, just requeued, can start again.

        slurmd refuses to launch a job with a credential that was made in the second in which it killed the
        job's earlier run, or before; slurmctld then fails the job ("Job credential revoked").
        """
        self.wait_for("the requeue", lambda: self.sandbox.job(job_id)["JobState"] == "PENDING")
        title = f"slurmstepd: [{job_id}.".encode()
        mine = self.sandbox.root
        self.wait_for("its steps to end", lambda: not any(title in command_line(p) for p in of_sandbox(mine)))
        killed_at = int(time.time())
        self.wait_for("the next second", lambda: time.time() >= killed_at + 1)

    def update_partition(self, name: str, **settings: str) -> None:
        """`scontrol update`, without waiting for anybody to see it."""
        pairs = [f"{key}={value}" for key, value in settings.items()]
        self.admin("scontrol", "update", f"PartitionName={name}", *pairs)

    def read_at_ns(self) -> int:
        """When the controller began to read Slurm for the newest snapshot, Unix ns; 0: there is none."""
        try:
            slot = slot_array(read_view(self.sandbox.snapshot_path))
        except SnapshotError:
            return 0
        return int(header_of(slot)["read_at_ns"])

    def await_published(self) -> None:
        """Return when the controller has read and published what Slurm says now."""
        now_ns = time.time_ns()
        self.wait_for("a snapshot of what Slurm says now", lambda: self.read_at_ns() > now_ns)

    def forget_jobs(self) -> None:
        """Cancel what was submitted here."""
        if self._submitted:
            self.sandbox.run(["scancel", *map(str, self._submitted)], check=False)
            self._submitted.clear()


@pytest.fixture(scope="session")
def cluster_of() -> Callable[[Sandbox], Cluster]:
    """`cluster_of(sandbox)`: a sandbox, as these tests use it."""
    return Cluster


@pytest.fixture(scope="session")
def _cluster(make_session_sandbox: Callable[..., Sandbox]) -> Cluster:
    return Cluster(make_session_sandbox(nodes=NODES, cycle_s=0.5))


@pytest.fixture
def cluster(_cluster: Cluster) -> Iterator[Cluster]:
    """The session's cluster: cpu, gpu and fpga partitions, plugins and controller."""
    yield _cluster
    _cluster.forget_jobs()


@pytest.fixture(scope="session")
def stock_cluster(make_session_sandbox: Callable[..., Sandbox]) -> Cluster:
    """The same nodes under a Slurm without hetslurm."""
    return Cluster(make_session_sandbox(nodes=NODES, plugins=False))


@pytest.fixture(scope="session")
def make_user() -> Iterator[Callable[..., str]]:
    """`make_user(*groups)`: a user of this machine with a random name and these groups, gone at the end."""
    users: list[str] = []

    def make(*groups: str) -> str:
        name = f"het{secrets.token_hex(4)}"
        users.append(name)
        member = ["--groups", ",".join(groups)] if groups else []
        command = ["useradd", "--no-create-home", "--home-dir", "/tmp", "--shell", "/bin/sh", "--user-group"]
        subprocess.run([*command, *member, name], check=True, capture_output=True)
        return name

    try:
        yield make
    finally:
        for name in users:
            subprocess.run(["userdel", name], check=False, capture_output=True)


@pytest.fixture(scope="session")
def make_group() -> Iterator[Callable[[], str]]:
    """`make_group()`: a group of this machine with a random name, gone at the end."""
    groups: list[str] = []

    def make() -> str:
        name = f"het{secrets.token_hex(4)}"
        groups.append(name)
        subprocess.run(["groupadd", name], check=True, capture_output=True)
        return name

    try:
        yield make
    finally:
        for name in groups:
            subprocess.run(["groupdel", name], check=False, capture_output=True)
