"""Daemons that cannot start, die, or belong to jobs that ran away."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hetslurm.errors import SandboxError
from hetslurm.sandbox import Spec, parse_nodes
from hetslurm.sandbox import sandbox as sandbox_module
from hetslurm.sandbox.machine import user_name
from hetslurm.sandbox.process import of_sandbox
from hetslurm.sandbox.sandbox import stop
from hetslurm.sandbox.wait import PATIENCE_S

pytestmark = pytest.mark.slurm

STOCK = Spec(parse_nodes("cpu=1"), plugins=False)


def until(test: Callable[[], object], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not test():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


@pytest.mark.parametrize("daemon", ["slurmctld", "cpu1"])
def test_a_port_that_was_taken_meanwhile_is_replaced(
    daemon: str, make_sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = sandbox_module.free_ports
    thieves: list[socket.socket] = []

    def stolen(names: list[str]) -> dict[str, int]:
        ports = look(names)
        if not thieves:
            thieves.append(socket.create_server(("127.0.0.1", ports[daemon])))
        return ports

    monkeypatch.setattr(sandbox_module, "free_ports", stolen)
    started = time.monotonic()
    sandbox = make_sandbox(STOCK)
    thieves.pop().close()

    assert sandbox.is_up()
    assert time.monotonic() - started < PATIENCE_S, "its end was not noticed, only its silence"


def test_a_slurmd_that_dies_is_named_at_once(make_sandbox) -> None:
    sandbox = make_sandbox(STOCK)
    sandbox.run(["scontrol", "update", "NodeName=cpu1", "State=DRAIN", "Reason=test"])
    os.kill(sandbox.state.processes["slurmd-cpu1"].pid, signal.SIGKILL)

    with pytest.raises(SandboxError, match="slurmd-cpu1 ended"):
        sandbox.waiting.for_nodes_idle(["cpu1"])


def test_a_job_process_that_left_its_step_is_ended_too(make_sandbox, tmp_path: Path) -> None:
    sandbox = make_sandbox(STOCK)
    pid_file = tmp_path / "pid"
    runaway = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 600' >/dev/null 2>&1 & sleep 600\n"
    job = sandbox.submit(f"#!/bin/sh\n{runaway}", "--output=/dev/null")
    sandbox.wait_job(job, {"RUNNING"})
    until(lambda: pid_file.exists() and pid_file.read_text().strip())
    pid = int(pid_file.read_text())
    for other in of_sandbox(sandbox.root) - {pid}:
        if b"slurmstepd" in Path(f"/proc/{other}/cmdline").read_bytes():
            os.kill(other, signal.SIGKILL)
    until(lambda: not any(b"slurmstepd" in _command(other) for other in of_sandbox(sandbox.root)))

    sandbox.down()

    assert state_of(pid) in ("gone", "Z")


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_up_that_is_asked_to_end_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "s"
    command = [
        sys.executable,
        "-P",
        "-m",
        "hetslurm",
        "sandbox",
        "up",
        "--dir",
        str(root),
        "--no-plugins",
        "--nodes",
        "cpu=60",
    ]
    up = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: len(of_sandbox(root) - {up.pid}) > 2)
    up.terminate()

    assert up.wait(30) == 128 + signal.SIGTERM
    assert not of_sandbox(root)
    stop(root)


def test_nodes_run_several_jobs_that_say_nothing_of_memory(make_sandbox) -> None:
    sandbox = make_sandbox(STOCK)
    jobs = [sandbox.submit("#!/bin/sh\nsleep 60\n", "--output=/dev/null") for _ in range(3)]

    assert {sandbox.wait_job(job, {"RUNNING"})["NodeList"] for job in jobs} == {"cpu1"}


def test_the_sandbox_goes_by_who_runs_it_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")

    assert user_name() == pwd.getpwuid(os.geteuid()).pw_name


def test_a_restarted_slurmctld_knows_the_jobs_of_before(make_sandbox) -> None:
    sandbox = make_sandbox(STOCK)
    job = sandbox.submit("#!/bin/sh\ntrue\n", "--hold", "--output=/dev/null")
    before = sandbox.slurmctld_pid
    sandbox.restart_slurmctld()

    assert sandbox.slurmctld_pid != before
    assert sandbox.job(job)["JobState"] == "PENDING"


def test_accounting_records_a_job_of_the_sandboxs_owner(make_sandbox) -> None:
    sandbox = make_sandbox(Spec(parse_nodes("cpu=1"), plugins=False, accounting=True))
    job = sandbox.submit("#!/bin/sh\ntrue\n", "--output=/dev/null")
    sandbox.wait_job(job, {"COMPLETED"})

    def recorded() -> str:
        return sandbox.run(["sacct", "-n", "-P", "-X", "-j", str(job), "-o", "State"]).stdout.strip()

    until(lambda: recorded() == "COMPLETED")


@pytest.mark.skipif(os.geteuid() != 0, reason="to submit as another user takes root")
class TestOtherUsers:
    """What root's sandbox does for the other users of the machine."""

    def test_their_jobs_run_as_them(self, make_sandbox) -> None:
        sandbox = make_sandbox(STOCK)
        uid = pwd.getpwnam("nobody").pw_uid
        job = sandbox.submit("#!/bin/sh\ntest $(id -u) = $(id -u nobody)\n", "--output=/dev/null", user=uid)

        assert sandbox.wait_job(job)["JobState"] == "COMPLETED"
        assert sandbox.job(job)["UserId"] == f"nobody({uid})"

    def test_one_who_cannot_enter_the_directory_is_told_so(self, make_sandbox) -> None:
        sandbox = make_sandbox(STOCK)
        sandbox.root.chmod(0o700)

        with pytest.raises(SandboxError, match="nobody cannot read"):
            sandbox.submit("#!/bin/sh\ntrue\n", user="nobody")
