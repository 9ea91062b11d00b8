"""The dead man's switch, run as it is, against a metadata service on loopback."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from .fake_imds import FakeImds

GUARD = Path(str(files("hetslurm.cloudburst.provider.ec2").joinpath("guard.sh")))
DEADLINE = "meta-data/tags/instance/hetslurm:deadline"
PATIENCE_S = 60.0


@dataclass
class Machine:
    """What the guard has of a machine: its uptime, a folder, and a way to end, which only leaves a file."""

    folder: Path
    environment: dict[str, str]

    @property
    def ended(self) -> bool:
        return (self.folder / "ended").exists()

    def guard(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", str(GUARD), *words], env=self.environment, stderr=subprocess.PIPE, text=True
        )

    def look(self) -> str:
        """One look; what it said."""
        process = self.guard("--once")
        said = process.communicate(timeout=PATIENCE_S)[1]
        assert process.returncode == 0
        return said


@pytest.fixture
def machine(tmp_path: Path, imds: FakeImds) -> Machine:
    end = tmp_path / "end.sh"
    end.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/ended\n')
    end.chmod(0o755)
    (tmp_path / "uptime").write_text("60.25 100.00\n")
    return Machine(
        tmp_path,
        {
            "PATH": os.environ["PATH"],
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.endpoint,
            "HETSLURM_GUARD_STATE": str(tmp_path / "state"),
            "HETSLURM_GUARD_END": str(end),
            "HETSLURM_GUARD_UPTIME": str(tmp_path / "uptime"),
        },
    )


def test_it_is_a_script_that_a_plain_sh_and_bash_can_read() -> None:
    for shell in ("sh", "bash"):
        subprocess.run([shell, "-n", str(GUARD)], check=True)


def test_a_machine_with_money_goes_on(machine: Machine, imds: FakeImds) -> None:
    imds.told[DEADLINE] = str(int(time.time()) + 3600)
    assert machine.look() == ""
    assert not machine.ended


def test_a_machine_whose_money_is_used_up_ends(machine: Machine, imds: FakeImds) -> None:
    imds.told[DEADLINE] = str(int(time.time()) - 1)
    assert "its money is used up" in machine.look()
    assert machine.ended


def test_more_money_is_more_time(machine: Machine, imds: FakeImds) -> None:
    state = machine.folder / "state" / "deadline"
    state.parent.mkdir()
    state.write_text(f"{int(time.time()) - 1}\n")
    imds.told[DEADLINE] = str(int(time.time()) + 3600)
    assert machine.look() == ""
    assert not machine.ended
    assert state.read_text().strip() == imds.told[DEADLINE]


def test_the_last_deadline_holds_while_the_service_is_silent(machine: Machine, imds: FakeImds) -> None:
    imds.told[DEADLINE] = str(int(time.time()) + 3600)
    machine.look()
    imds.close()
    machine.look()
    assert not machine.ended
    (machine.folder / "state" / "deadline").write_text(f"{int(time.time()) - 1}\n")
    machine.look()
    assert machine.ended


@pytest.mark.parametrize("told", ["", "soon", "-5", "1e9", "2027-01-15"])
def test_what_is_no_number_is_no_deadline(machine: Machine, imds: FakeImds, told: str) -> None:
    imds.told[DEADLINE] = told
    machine.look()
    assert not machine.ended
    assert not (machine.folder / "state" / "deadline").exists()


def test_a_machine_that_never_heard_of_a_deadline_ends_after_a_quarter_of_an_hour(machine: Machine) -> None:
    machine.look()
    assert not machine.ended
    (machine.folder / "uptime").write_text("901.00 100.00\n")
    assert "nobody says how long it is paid for" in machine.look()
    assert machine.ended


def test_it_ends_at_the_second_and_not_at_the_next_look(machine: Machine, imds: FakeImds) -> None:
    deadline = int(time.time()) + 3
    imds.told[DEADLINE] = str(deadline)
    process = machine.guard()
    try:
        while not machine.ended:
            assert time.time() < deadline + PATIENCE_S
            time.sleep(0.02)
        # Its looks are 15 s apart.
        assert deadline <= time.time() + 0.1
        assert time.time() < deadline + 10
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
