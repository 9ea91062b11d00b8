"""User data, and what it makes a machine do."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from hetslurm.cloudburst.provider.ec2.cloud_init import MAX_BYTES, instance_env, user_data
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.errors import ConfigError

from .fake_imds import FakeImds

NODE = "meta-data/tags/instance/hetslurm:node"
SETTINGS = Ec2Settings(
    name="aws",
    cluster="hpc",
    region="eu-central-1",
    image="ami-1",
    conf_server="ctl1:6817",
    slurm_key="ssm:/hpc/munge.key",
)
WITH_BUS = replace(SETTINGS, bus_connect=("tcp://ctl1:6836",), bus_key="ssm:/hpc/bus/{node}")


def _document(settings: Ec2Settings) -> dict[str, Any]:
    text = user_data(settings)
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    assert isinstance(document, dict)
    return document


def _files(settings: Ec2Settings) -> dict[str, dict[str, str]]:
    return {file["path"]: file for file in _document(settings)["write_files"]}


def test_it_is_yaml_with_files_and_commands() -> None:
    document = _document(SETTINGS)
    assert document["runcmd"][-1] == ["/usr/local/lib/hetslurm/join.sh"]
    # The guard comes first: whatever comes after it, the machine ends in time.
    assert document["runcmd"][1] == ["systemctl", "start", "hetslurm-guard"]
    assert {file["owner"] for file in document["write_files"]} == {"root:root"}
    assert _files(SETTINGS)["/usr/local/lib/hetslurm/guard.sh"]["permissions"] == "0755"


def test_its_scripts_are_scripts() -> None:
    for path, file in _files(WITH_BUS).items():
        if path.endswith(".sh"):
            subprocess.run(["bash", "-n"], input=file["content"], text=True, check=True)


def test_slurmd_says_that_the_machine_has_booted_who_it_is_and_where_its_configuration_is() -> None:
    unit = _files(SETTINGS)["/etc/systemd/system/hetslurm-slurmd.service"]["content"]
    assert "ExecStart=/usr/sbin/slurmd -D -b -N $NODE --conf-server $CONF_SERVER\n" in unit
    assert "Delegate=yes" in unit


def test_slurms_own_slurmd_takes_these_options() -> None:
    unit = _files(SETTINGS)["/etc/systemd/system/hetslurm-slurmd.service"]["content"]
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    words = (
        line.removeprefix("ExecStart=").replace("$NODE", "c1").replace("$CONF_SERVER", "127.0.0.1:1").split()
    )
    # -C prints the hardware and ends.
    done = subprocess.run([*words, "-C"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NodeName=")


def test_it_fits_into_what_ec2_takes_and_says_when_it_does_not() -> None:
    assert len(user_data(WITH_BUS).encode()) < MAX_BYTES
    with pytest.raises(ConfigError, match="EC2 takes 16384"):
        user_data(replace(SETTINGS, slurm_key="command:" + "x" * MAX_BYTES))


def test_it_says_where_keys_are_and_carries_none(tmp_path: Path) -> None:
    key = tmp_path / "munge.key"
    key.write_text("THE-SECRET-ITSELF")
    text = user_data(WITH_BUS)
    assert "ssm:/hpc/munge.key" in text
    assert "THE-SECRET" not in text
    assert all(word not in text for word in ("AWS_SECRET", "aws_secret", "PRIVATE KEY", "AKIA"))
    # A wildcard of a key's own words: nothing that is as long and as random as one.
    assert max(len(word) for word in instance_env(WITH_BUS).replace("=", " ").split()) < 40


def test_with_a_key_for_the_bus_an_agent_reports_else_a_watch_does() -> None:
    assert "/etc/systemd/system/hetslurm-agent.service" in _files(WITH_BUS)
    assert 'connect = ["tcp://ctl1:6836"]' in _files(WITH_BUS)["/etc/hetslurm/hetslurm.toml"]["content"]
    watch = _files(SETTINGS)["/etc/systemd/system/hetslurm-watch.service"]["content"]
    assert "hetslurm burst watch --node $NODE" in watch
    assert "/etc/hetslurm/hetslurm.toml" not in _files(SETTINGS)


def test_words_of_the_admins_stay_words(tmp_path: Path) -> None:
    odd = replace(SETTINGS, slurm_key="command:vault read -field=key 'a b' | base64 -d; $(x) `y`")
    env = tmp_path / "env"
    env.write_text(instance_env(odd))
    done = subprocess.run(
        ["bash", "-c", f'. {env}; printf %s "$SLURM_KEY"'], capture_output=True, text=True, check=True
    )
    assert done.stdout == odd.slurm_key


class Machine:
    """A machine as join.sh meets it: a folder for a root, and commands that write down what they are told."""

    def __init__(self, folder: Path, imds: FakeImds, settings: Ec2Settings) -> None:
        self.root = folder / "root"
        self.log = folder / "log"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.command("hostnamectl")
        self.command("systemctl")
        self.command("end")
        self.command("chown")
        self.command("iptables")
        self.command("aws", "printf 'U0VDUkVULUtFWQ==\\n'")
        env = self.root / "etc/hetslurm/instance.env"
        env.parent.mkdir(parents=True)
        env.write_text(instance_env(settings))
        self.environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HETSLURM_ROOT": str(self.root),
            "HETSLURM_GUARD_END": "end",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.endpoint,
        }

    def command(self, name: str, then: str = "true") -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho {name} "$@" >> {self.log}\n{then}\n')
        path.chmod(0o755)

    def join(self) -> subprocess.CompletedProcess[str]:
        script = str(files("hetslurm.cloudburst.provider.ec2").joinpath("join.sh"))
        return subprocess.run(
            ["bash", script], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    @property
    def said(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def file(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def test_a_machine_takes_its_name_its_key_and_starts_slurmd(tmp_path: Path, imds: FakeImds) -> None:
    imds.told[NODE] = "cloud7"
    machine = Machine(tmp_path, imds, SETTINGS)
    done = machine.join()
    assert done.returncode == 0, done.stderr
    key = machine.file("/etc/munge/munge.key")
    assert key.read_bytes() == b"SECRET-KEY"
    assert stat.S_IMODE(key.stat().st_mode) == 0o400
    assert machine.file("/run/hetslurm/node.env").read_text() == "NODE=cloud7\nCONF_SERVER=ctl1:6817\n"
    said = machine.said
    assert said[0] == "iptables -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 -j REJECT"
    assert said[1] == "hostnamectl set-hostname cloud7"
    assert said[2].startswith("aws ssm get-parameter --region eu-central-1 --with-decryption --name /hpc/")
    assert said[3].startswith("chown munge:munge ")
    assert said[4:] == [
        "systemctl restart munge",
        "systemctl stop slurmd",
        "systemctl start hetslurm-slurmd",
        "systemctl start hetslurm-watch",
    ]
    assert "SECRET-KEY" not in done.stdout + done.stderr + "".join(said)


def test_with_auth_slurm_the_key_is_slurms_and_no_munge_is_started(tmp_path: Path, imds: FakeImds) -> None:
    imds.told[NODE] = "cloud7"
    settings = replace(
        WITH_BUS, auth="slurm", slurm_key="secretsmanager:hpc-slurm", bus_key="command:echo {node}"
    )
    machine = Machine(tmp_path, imds, settings)
    done = machine.join()
    assert done.returncode == 0, done.stderr
    assert machine.file("/etc/slurm/slurm.key").read_bytes() == b"SECRET-KEY"
    bus = machine.file("/etc/hetslurm/keys/node.key")
    assert (bus.read_text(), stat.S_IMODE(bus.stat().st_mode)) == ("cloud7\n", 0o400)
    assert not any("munge" in line for line in machine.said)
    assert machine.said[-1] == "systemctl start hetslurm-agent"


@pytest.mark.parametrize(
    "wrong", ["exit 254", "printf ''", "echo '%%% this is not base64'"], ids=["refused", "empty", "garbage"]
)
def test_a_machine_that_gets_no_key_ends_at_once(tmp_path: Path, imds: FakeImds, wrong: str) -> None:
    imds.told[NODE] = "cloud7"
    machine = Machine(tmp_path, imds, SETTINGS)
    machine.command("aws", wrong)
    done = machine.join()
    assert done.returncode != 0
    assert "could not join the cluster (fetching Slurm's key)" in done.stderr
    assert machine.said[-1] == "end"
    assert machine.said.count("end") == 1
    assert not any("slurmd" in line for line in machine.said)


def test_a_machine_whose_name_is_no_nodes_name_ends_at_once(tmp_path: Path, imds: FakeImds) -> None:
    imds.told[NODE] = "cloud7; reboot"
    machine = Machine(tmp_path, imds, SETTINGS)
    assert machine.join().returncode == 1
    assert [line for line in machine.said if "iptables" not in line] == ["end"]


def test_a_machine_whose_jobs_could_ask_for_its_role_ends_at_once(tmp_path: Path, imds: FakeImds) -> None:
    imds.told[NODE] = "cloud7"
    machine = Machine(tmp_path, imds, SETTINGS)
    machine.command("iptables", "exit 3")
    done = machine.join()
    assert done.returncode == 3
    assert "closing the metadata service to jobs" in done.stderr
    assert machine.said[1:] == ["end"]
    assert not machine.file("/etc/munge/munge.key").exists()


def test_what_user_data_needs_is_in_the_package() -> None:
    folder = files("hetslurm.cloudburst.provider.ec2")
    assert all(folder.joinpath(name).is_file() for name in ("guard.sh", "join.sh"))
    assert shutil.which("curl"), "instances need curl, and so do these tests"
