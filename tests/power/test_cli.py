"""`hetslurm burst`: what Slurm calls and what an admin prints, as processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hetslurm.burst.conf import PROGRAMS

POLICY = """\
[provider.here]
kind = "local"
dir = "{folder}/cloud"

[[pool]]
partition = "cloud"
provider = "here"
instance_type = "local"
max_price = 1

[[cap]]
level = "site"
per = "day"
limit = 5
"""


def _hetslurm(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "hetslurm", "burst", *words]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | env, timeout=120
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "burst.toml").write_text(POLICY.format(folder=tmp_path))
    path = tmp_path / "hetslurm.toml"
    path.write_text(
        f'[controller]\nstate_dir = "{tmp_path}"\n\n[burst]\npolicy = "{tmp_path / "burst.toml"}"\n'
    )
    return path


@pytest.mark.parametrize("command", [command for _, _, command in PROGRAMS])
def test_every_program_s_command_is_there(command: str) -> None:
    done = _hetslurm(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "cloud[1-4,7]" in done.stdout


def test_conf_prints_the_lines_and_writes_the_programs(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    done = _hetslurm("conf", "--config", str(config), "--write", str(folder))
    assert done.returncode == 0, done.stderr
    assert f"ResumeProgram={folder}/hetslurm-resume\n" in done.stdout
    assert "CloudPartitions=cloud\n" in done.stdout
    for _, name, command in PROGRAMS:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o755
        assert f"burst {command} --config {config}" in (folder / name).read_text()


def test_conf_has_json(config: Path) -> None:
    done = _hetslurm("conf", "--config", str(config), "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["slurm_conf"]["ResumeProgram"] == "/etc/hetslurm/hetslurm-resume"
    assert "RootOnly=YES" in printed["partitions"]["cloud"]


def test_conf_without_a_policy_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "hetslurm.toml").write_text("")
    done = _hetslurm("conf", "--config", str(tmp_path / "hetslurm.toml"))
    assert done.returncode == 2
    assert 'write policy = "/etc/hetslurm/burst.toml"' in done.stderr


@pytest.mark.slurm
def test_a_policy_that_cannot_be_read_sends_jobs_back_instead_of_letting_them_wait(cloud) -> None:
    policy = cloud.slurm.layout.burst_policy
    right = policy.read_text()
    policy.write_text(right.replace("max_price", "max_prise"))
    try:
        cloud.slurm.run(["scontrol", "update", "NodeName=cloud9", "State=POWER_UP"])
        cloud.until("a reason", lambda: cloud.reason("cloud9").startswith(f"hetslurm: refused: {policy}:"))
    finally:
        policy.write_text(right)
    cloud.until_powered_down("cloud9")
