"""A sandbox on the real Slurm: it comes up, stands beside others, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import hetslurm.fpga
import hetslurm.gpu
import hetslurm.native
from hetslurm.errors import SandboxError
from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.sandbox.machine import PLUGINS
from hetslurm.sandbox.process import of_sandbox

STOCK = Spec(parse_nodes("cpu=1"), plugins=False)
COMMAND = [sys.executable, "-P", "-m", "hetslurm", "sandbox"]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hetslurm-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def until(test: Callable[[], object], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not test():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_two_sandboxes_run_side_by_side_and_do_not_see_each_other(folder: Path) -> None:
    with Sandbox.create(folder / "a", STOCK) as a, Sandbox.create(folder / "b", STOCK) as b:
        job = a.submit("#!/bin/sh\nexit 0\n", "--output=/dev/null", cwd="/tmp")
        a.wait_job(job, {"COMPLETED"})
        assert b.run(["squeue", "-h", "-t", "all"]).stdout == ""


def test_down_leaves_no_process_no_mount_and_no_file(folder: Path) -> None:
    mounts = Path("/proc/mounts").read_text()
    sandbox = Sandbox.create(folder / "s", STOCK)
    job = sandbox.submit("#!/bin/sh\nsleep 600\n", "--output=/dev/null", cwd="/tmp")
    sandbox.wait_job(job, {"RUNNING"})
    pids = of_sandbox(sandbox.root)
    assert len(pids) >= 5, "munged, slurmctld, slurmd, slurmstepd and the job"
    sandbox.down()
    assert not of_sandbox(sandbox.root)
    assert not any(Path(f"/proc/{pid}/cmdline").exists() and _state(pid) != "Z" for pid in pids)
    assert Path("/proc/mounts").read_text() == mounts
    assert not (folder / "s").exists()


def test_down_ends_the_steps_of_a_slurmd_that_died(folder: Path) -> None:
    """A slurmstepd ignores SIGTERM while it cannot report, and has overwritten its environment."""
    sandbox = Sandbox.create(folder / "s", STOCK)
    before = of_sandbox(sandbox.root)
    job = sandbox.submit("#!/bin/sh\nsleep 600\n", "--output=/dev/null", cwd="/tmp")
    sandbox.wait_job(job, {"RUNNING"})
    steps = of_sandbox(sandbox.root) - before
    for name in ("slurmctld", "slurmd-cpu1"):
        os.kill(sandbox.state.processes[name].pid, signal.SIGKILL)
    until(lambda: not sandbox.state.processes["slurmd-cpu1"].alive())
    assert steps <= of_sandbox(sandbox.root), "they are still known as the sandbox's"
    sandbox.down()
    assert not any(_state(pid) != "Z" for pid in steps)


def test_down_as_a_job_ends_leaves_no_step(folder: Path) -> None:
    sandbox = Sandbox.create(folder / "s", STOCK)
    before = of_sandbox(sandbox.root)
    told, mark = folder / "pid", folder / "mark"
    script = f"#!/bin/sh\necho $$ > {told}\nwhile [ ! -e {mark} ]; do sleep 0.1; done\n"
    job = sandbox.submit(script, "--output=/dev/null", cwd="/tmp")
    sandbox.wait_job(job, {"RUNNING"})
    until(lambda: told.exists() and told.read_text().strip())
    steps = of_sandbox(sandbox.root) - before
    os.kill(sandbox.state.processes["slurmctld"].pid, signal.SIGKILL)
    mark.touch()
    until(lambda: _state(int(told.read_text())) == "Z")  # the job is over, and its step has nobody to tell
    sandbox.down()
    assert not any(_state(pid) != "Z" for pid in steps)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def test_down_clears_what_a_killed_up_left(folder: Path) -> None:
    root = folder / "s"
    up = subprocess.Popen(
        [*COMMAND, "up", "--dir", str(root), "--no-plugins", "--nodes", "cpu=40"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len(of_sandbox(root) - {up.pid}) > 2)
    up.send_signal(signal.SIGKILL)
    up.wait()
    done = subprocess.run([*COMMAND, "down", "--dir", str(root)], capture_output=True, text=True, check=True)
    assert "is down" in done.stdout
    assert not of_sandbox(root)
    assert not root.exists()


def test_down_finds_daemons_even_when_the_state_file_is_gone(folder: Path) -> None:
    sandbox = Sandbox.create(folder / "s", STOCK)
    sandbox.layout.state_file.unlink()
    subprocess.run([*COMMAND, "down", "--dir", str(sandbox.root)], check=True, capture_output=True)
    assert not of_sandbox(sandbox.root)


def test_up_status_env_down_on_the_command_line(folder: Path) -> None:
    where = ["--dir", str(folder / "s")]
    subprocess.run([*COMMAND, "up", *where, "--no-plugins", "--nodes", "cpu=1,gpu:a100=1"], check=True)
    again = subprocess.run(
        [*COMMAND, "up", *where, "--no-plugins", "--nodes", "cpu=1"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "is up already" in again.stderr
    status = json.loads(
        subprocess.run([*COMMAND, "status", *where, "--json"], check=True, capture_output=True).stdout
    )
    assert status["up"]
    assert {daemon["name"] for daemon in status["daemons"]} == {
        "munged",
        "slurmctld",
        "slurmd-cpu1",
        "slurmd-gpu1",
    }
    assert {(node["name"], node["state"]) for node in status["nodes"]} == {("cpu1", "idle"), ("gpu1", "idle")}
    shell = f'eval "$({" ".join(COMMAND)} env {" ".join(where)})" && sinfo -h -o %P'
    assert set(subprocess.check_output(["sh", "-c", shell], text=True).split()) == {"cpu*", "gpu"}
    pools = subprocess.run(
        ["sh", "-c", f"{shell} && hetslurm pools"], capture_output=True, text=True, check=False
    )
    assert "no snapshot" in pools.stdout, "hetslurm itself is found, too"
    os.kill(next(d["pid"] for d in status["daemons"] if d["name"] == "slurmd-gpu1"), signal.SIGKILL)
    until(
        lambda: subprocess.run([*COMMAND, "status", *where], check=False, capture_output=True).returncode == 1
    )
    subprocess.run([*COMMAND, "down", *where], check=True)
    gone = subprocess.run([*COMMAND, "status", *where], check=False, capture_output=True, text=True)
    assert gone.returncode == 2
    assert "there is no sandbox" in gone.stderr


def test_a_failed_up_shows_the_log_and_leaves_nothing_running(folder: Path) -> None:
    broken = Spec(parse_nodes("cpu=1"), plugins=False, slurm_conf=("SelectType=select/nonsense",))
    with pytest.raises(SandboxError, match="nonsense"):
        Sandbox.create(folder / "s", broken)
    assert not of_sandbox(folder / "s")


def test_too_long_a_path_is_refused_before_anything_starts(folder: Path) -> None:
    with pytest.raises(SandboxError, match="too long"):
        Sandbox.create(folder / ("x" * 120), STOCK)


def test_missing_plugins_are_named_with_the_way_to_build_them(folder: Path) -> None:
    with pytest.raises(SandboxError, match="make plugin"):
        Sandbox.create(folder / "s", Spec(parse_nodes("cpu=1")), plugin_dir=folder)


def installed_for_all(folder: Path) -> dict[str, str]:
    """A copy of what is installed that every user can read, wherever this checkout lies; its environment."""
    packages, plugins = folder / "packages", folder / "plugins"
    site = Path(msgspec.__file__).parents[1]
    tools = shutil.ignore_patterns(
        "mypy*", "ruff*", "pip*", "hypothesis*", "setuptools*", "hetslurm*", "Cython*"
    )
    shutil.copytree(site, packages, ignore=tools)
    shutil.copytree(hetslurm.__path__[0], packages / "hetslurm", dirs_exist_ok=True)
    for part in (hetslurm.native, hetslurm.gpu, hetslurm.fpga):  # elsewhere while installed for development
        copy = packages / part.__name__.replace(".", "/")
        shutil.copytree(part.__path__[0], copy, dirs_exist_ok=True)
    shutil.copytree(
        os.environ["HETSLURM_PLUGIN_DIR"], plugins, ignore=lambda _, names: set(names) - set(PLUGINS)
    )
    return {"PYTHONPATH": str(packages), "HETSLURM_PLUGIN_DIR": str(plugins)}


def test_an_ordinary_user_runs_a_sandbox_of_their_own(folder: Path) -> None:
    """As root, by becoming daemon (26.05 keeps the name nobody for itself); else this user is one already."""
    private = folder / "daemons"
    private.mkdir()
    name = pwd.getpwuid(os.geteuid()).pw_name
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        name = "daemon"
        shutil.chown(private, name)
        entry = pwd.getpwnam(name)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    script = (
        "import sys; from hetslurm.sandbox import *\n"
        "with Sandbox.create(sys.argv[1], Spec(parse_nodes('cpu=1,gpu:a100=1'))) as s:\n"
        "    text = '#!/bin/sh\\n#HET target=gpu:a100:1 time=1\\nid -un\\n'\n"
        "    job = s.submit(text, '--output=/dev/null', cwd='/tmp')\n"
        "    print(s.wait_job(job)['JobState'], s.job(job)['Partition'], s.job(job)['UserId'])\n"
    )
    done = subprocess.run(
        [os.path.realpath(sys.executable), "-P", "-c", script, str(private / "s")],
        **identity,
        cwd="/",
        env={**os.environ, **installed_for_all(folder), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    state, partition, user = done.stdout.split()
    assert (state, partition) == ("COMPLETED", "gpu")
    assert user.startswith(f"{name}(")
