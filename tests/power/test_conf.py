"""slurm.conf's lines for cloud nodes, and the programs that it names."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePath

from hetslurm.burst.conf import (
    PROGRAMS,
    add_words,
    json_conf,
    render_conf,
    slurm_conf,
    write_programs,
)
from hetslurm.cloudburst.policy import CloudPool, Policy, Purchase

POOLS = (
    CloudPool("cloud", "aws", "c7i.4xlarge", (Purchase.SPOT,), 1_000_000, idle_s=120, boot_timeout_s=600),
    CloudPool("cloud-gpu", "aws", "g5.xlarge", (Purchase.SPOT,), 2_000_000, idle_s=6, boot_timeout_s=300),
)


def test_powered_down_nodes_must_be_asked_for_before_23_02() -> None:
    old = slurm_conf(Policy(pools=POOLS), (22, 5, 8), PurePath("/etc/hetslurm"))
    new = slurm_conf(Policy(pools=POOLS), (26, 5, 5), PurePath("/etc/hetslurm"))
    assert dict(old.lists)["PrivateData"] == ("cloud",)
    assert "PrivateData" not in dict(new.lists)
    assert dict(old.settings) == dict(new.settings)
    assert dict(new.settings)["ResumeProgram"] == "/etc/hetslurm/hetslurm-resume"


def test_suspend_time_and_suspend_timeout_are_no_more_than_the_idle_tail_that_is_paid_for() -> None:
    partitions = dict(slurm_conf(Policy(pools=POOLS), (22, 5), PurePath("/x")).partitions)
    assert partitions["cloud"] == (
        "OverSubscribe=NO RootOnly=YES SuspendTime=80 ResumeTimeout=600 SuspendTimeout=40"
    )
    assert "SuspendTime=4 ResumeTimeout=300 SuspendTimeout=2" in partitions["cloud-gpu"]


def test_what_is_printed_names_every_partition_and_the_plugin_s_line() -> None:
    policy = Policy(pools=POOLS)
    conf = slurm_conf(policy, (22, 5), PurePath("/etc/hetslurm"))
    text = render_conf(conf, policy)
    assert "CloudPartitions=cloud,cloud-gpu\n" in text
    assert "PartitionName=cloud-gpu Nodes=cloud-gpu[1-64] OverSubscribe=NO RootOnly=YES" in text
    assert json_conf(conf)["job_submit_hetslurm_conf"] == {"CloudPartitions": "cloud,cloud-gpu"}


def test_words_are_added_to_a_setting_once() -> None:
    assert add_words("PrivateData=jobs,cloud", ("cloud",)) == "PrivateData=jobs,cloud"
    assert add_words("SlurmctldParameters=", ("a", "b")) == "SlurmctldParameters=a,b"


def test_a_program_hands_over_its_nodes_and_keeps_what_it_prints(tmp_path: Path) -> None:
    python = tmp_path / "it's python"
    python.write_text('#!/bin/sh\necho "$PATH $MARK $@"\n')
    python.chmod(0o755)
    log = tmp_path / "log"
    written = write_programs(
        tmp_path, python=str(python), config="/etc/het slurm.toml", log=str(log), environment={"MARK": "a b"}
    )
    assert [path.name for path in written] == [name for _, name, _ in PROGRAMS]
    subprocess.run([str(written[0]), "cloud[1-2]"], check=True, env={})
    assert log.read_text().endswith(
        "/bin a b -P -m hetslurm burst resume --config /etc/het slurm.toml -- cloud[1-2]\n"
    )
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_log_that_cannot_be_written_does_not_stop_a_program(tmp_path: Path) -> None:
    for path in write_programs(tmp_path, python="/bin/true", config="c", log=str(tmp_path / "no" / "log")):
        assert subprocess.run([str(path), "cloud1"], check=False, env={}).returncode == 0
