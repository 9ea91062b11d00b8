"""Arrays, heterogeneous jobs, salloc, srun, nested sbatch and requeues: each is placed as a user expects."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slurm

GPU = "target=gpu:a100:1,cpus=1,time=2:00"
FPGA = "target=fpga:u250:1,cpus=1,time=2:00"
CPU = "target=cpu,cpus=1,time=2:00"


def jobs_of(cluster, job_id: int) -> list[dict[str, str]]:
    """Every array task or component that `scontrol show job` lists under the id."""
    text = cluster.admin("scontrol", "show", "job", "-o", str(job_id))
    return [
        dict(re.findall(r"(\S+?)=(\S*)", line)) for line in text.splitlines() if line.startswith("JobId=")
    ]


def test_array_has_one_placement_and_all_its_tasks_run_there(cluster, tmp_path) -> None:
    tmp_path.chmod(0o777)
    script = f"#!/bin/sh\n#HET {FPGA.replace(',', ' ')}\nenv -0\n"
    verdict = cluster.submit("--array=1-4%2", f"--output={tmp_path}/%a", script=script, hold=False)
    assert cluster.partition_of(verdict) == "fpga"

    def ended() -> bool:
        return all(task["JobState"] == "COMPLETED" for task in jobs_of(cluster, verdict.job_id))

    cluster.wait_for("all tasks to complete", ended, 180)
    tasks = jobs_of(cluster, verdict.job_id)
    assert {task["ArrayTaskId"] for task in tasks} == {"1", "2", "3", "4"}
    assert {task["Partition"] for task in tasks} == {"fpga"}
    for number in range(1, 5):
        inside = dict(
            e.split("=", 1) for e in Path(tmp_path, str(number)).read_text().split("\0") if "=" in e
        )
        assert inside["SLURM_ARRAY_TASK_ID"] == str(number)
        assert (inside["HET_KIND"], inside["HET_TYPE"]) == ("fpga", "u250")


def test_components_of_a_heterogeneous_job_are_placed_each_on_its_own(cluster) -> None:
    verdict = cluster.submit(f"--het={GPU}", ":", f"--het={CPU}", ":", f"--het={FPGA}")
    components = jobs_of(cluster, verdict.job_id)

    assert [c["Partition"] for c in components] == ["gpu", "cpu", "fpga"]
    gres = [c.get("TresPerNode", "").replace("/", ":") for c in components]
    assert gres == ["gres:gpu:a100:1", "", "gres:fpga:u250:1"]
    assert "0: hetslurm: gpu:a100:1 in partition gpu" in verdict.words
    assert "2: hetslurm: fpga:u250:1 in partition fpga" in verdict.words


def test_script_lines_are_of_the_first_component_and_later_ones_have_their_own_option(cluster) -> None:
    script = f"#!/bin/sh\n#HET {GPU.replace(',', ' ')}\n#SBATCH hetjob\n#SBATCH -p cpu\ntrue\n"
    verdict = cluster.submit(script=script)
    components = jobs_of(cluster, verdict.job_id)

    assert [c["Partition"] for c in components] == ["gpu", "cpu"]
    assert "AdminComment" not in components[1]


COMPONENTS = {
    "first": ((f"--het={GPU}", ":", "-p", "cpu"), ["gpu", ""]),
    "last": (("-p", "cpu", ":", f"--het={GPU}"), ["", "gpu"]),
    "alternate": (
        (f"--het={GPU}", ":", "-p", "cpu", ":", f"--het={FPGA}", ":", "-p", "cpu"),
        ["gpu", "", "fpga", ""],
    ),
    "alike": ((f"--het={CPU}", ":", f"--het={CPU}", ":", f"--het={CPU}"), ["cpu", "cpu", "cpu"]),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_component_without_the_option_does_not_inherit_its_neighbours(cluster, name: str) -> None:
    options, kinds = COMPONENTS[name]
    components = jobs_of(cluster, cluster.submit(*options).job_id)

    records = [cluster.record(int(component["JobId"])) for component in components]
    assert [record.get("kind", "") for record in records] == kinds


@pytest.mark.parametrize("command", ["srun", "salloc"])
def test_interactive_components_do_not_inherit_the_option_either(cluster, command: str) -> None:
    words = ["sh", "-c", "echo $SLURMD_NODENAME kind=$HET_KIND"]
    words = words if command == "srun" else ["squeue", "-h", "-O", "Partition:8,admin_comment:20"]
    done = cluster.sandbox.run([command, f"--het={GPU}", ":", "-p", "cpu", *words], check=False)

    assert done.returncode == 0, done.stderr
    lines = sorted(done.stdout.splitlines())
    if command == "srun":
        assert [line.split()[1] for line in lines] == ["kind=", "kind=gpu"]
    else:
        assert ["hetslurm" in line for line in lines] == [False, True]


def test_one_wrong_component_refuses_the_whole_job(cluster) -> None:
    verdict = cluster.submit(f"--het={GPU}", ":", "--het=target=gpu:h100:1")

    assert verdict.job_id is None
    assert "hetslurm: nothing here can run this job; gpu:h100:1" in verdict.words


def test_tasks_of_each_component_find_where_their_own_component_landed(cluster, tmp_path) -> None:
    tmp_path.chmod(0o777)
    inside = "echo $SLURMD_NODENAME kind=$HET_KIND target=$HET_TARGET"
    script = f"#!/bin/sh\n{inside}\nsrun -l --het-group=0,1,2 sh -c '{inside}'\n"
    options = ("-n1", f"--het={GPU}", ":", "-n1", f"--het={CPU}", ":", "-n1", "-p", "cpu", "--mem=100M")
    verdict = cluster.submit(f"--output={tmp_path}/batch", *options, script=script, hold=False)
    assert cluster.finished(verdict.job_id)["JobState"] == "COMPLETED"

    batch, *tasks = (tmp_path / "batch").read_text().splitlines()
    found = [batch.split(), *(line.split()[1:] for line in sorted(tasks))]
    assert [node.rstrip("0123456789") for node, *_ in found] == ["gpu", "gpu", "cpu", "cpu"]
    placed = [
        ["kind=gpu", "target=gpu:a100:1"],
        ["kind=gpu", "target=gpu:a100:1"],
        ["kind=cpu", "target=cpu"],
    ]
    # The last component has no directive, and is told nothing.
    assert [words for _, *words in found] == [*placed, ["kind=", "target="]]


def test_sbatch_line_of_the_option_is_read(cluster) -> None:
    script = f"#!/bin/sh\n#SBATCH --het={FPGA}\ntrue\n"

    assert cluster.partition_of(cluster.submit(script=script)) == "fpga"


@pytest.mark.parametrize("command", ["sbatch", "salloc", "srun"])
def test_the_option_is_explained_in_the_help_of_every_command(cluster, command: str) -> None:
    text = cluster.sandbox.run([command, "--help"]).stdout
    assert "--het=DIRECTIVES" in text
    assert "target=gpu:a100:1" in text.split("--het=DIRECTIVES")[1]


def test_salloc_takes_the_option(cluster) -> None:
    done = cluster.sandbox.run(
        ["salloc", f"--het={GPU}", "sh", "-c", "echo got $SLURM_JOB_PARTITION; srun env"], check=False
    )

    assert done.returncode == 0, done.stderr
    assert "got gpu" in done.stdout
    assert "hetslurm: gpu:a100:1 in partition gpu" in done.stderr
    inside = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert (inside["HET_KIND"], inside["HET_TYPE"]) == ("gpu", "a100")
    assert len(inside["CUDA_VISIBLE_DEVICES"].split(",")) == 1


def test_srun_takes_the_option(cluster) -> None:
    done = cluster.sandbox.run(["srun", f"--het={FPGA}", "env"], check=False)

    assert done.returncode == 0, done.stderr
    inside = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert inside["SLURM_JOB_PARTITION"] == "fpga"
    assert (inside["HET_KIND"], inside["HET_TYPE"]) == ("fpga", "u250")


@pytest.mark.parametrize("command", [("salloc",), ("srun", "true"), ("sbatch", "--wrap=true")])
def test_mistake_is_refused_before_anything_is_queued(cluster, command) -> None:
    done = cluster.sandbox.run([command[0], "--het=target=cpu,cpus=many", *command[1:]], check=False)

    assert done.returncode != 0
    assert "many" in done.stderr
    assert "many" not in cluster.admin("squeue", "-h", "-O", "AdminComment:600")


def test_mistake_in_a_script_names_line_word_and_what_was_expected(cluster) -> None:
    verdict = cluster.submit(script="#!/bin/sh\n#HET target=gpu:1\n#HET objective=fastest\ntrue\n")

    assert verdict.job_id is None
    assert "line 3" in verdict.words
    assert "fastest" in verdict.words
    assert "latency" in verdict.words


def test_nested_sbatch_does_not_inherit_the_option(cluster, tmp_path) -> None:
    tmp_path.chmod(0o777)
    nested = f"sbatch --parsable -p cpu --chdir=/tmp -o {tmp_path}/inner --wrap='env -0'"
    script = f"#!/bin/sh\n{nested} > {tmp_path}/id\n"
    outer = cluster.submit(f"--het={FPGA}", script=script, hold=False)
    assert cluster.finished(outer.job_id)["JobState"] == "COMPLETED"

    inner = int(Path(tmp_path, "id").read_text())
    assert cluster.finished(inner)["JobState"] == "COMPLETED"
    assert cluster.record(inner) == {}
    inside = [
        entry for entry in Path(tmp_path, "inner").read_text().split("\0") if "HET_" in entry.split("=")[0]
    ]
    assert inside == []


def test_requeue_keeps_placement_and_environment(cluster, tmp_path) -> None:
    tmp_path.chmod(0o777)
    wait_once = '[ -n "$SLURM_RESTART_COUNT" ] || sleep 60'
    script = f"#!/bin/sh\nenv -0 > {tmp_path}/$SLURM_RESTART_COUNT.out\n{wait_once}\n"
    verdict = cluster.submit(f"--het={GPU}", "--requeue", script=script, hold=False)
    first = tmp_path / ".out"
    cluster.wait_for("the first run", lambda: first.exists() and first.read_text())
    record = cluster.record(verdict.job_id)

    cluster.admin("scontrol", "requeue", str(verdict.job_id))
    cluster.await_requeued(verdict.job_id)
    # Slurm lets a requeued job wait for two minutes.
    cluster.admin("scontrol", "update", f"JobId={verdict.job_id}", "StartTime=now")
    job = cluster.finished(verdict.job_id)

    assert (job["JobState"], job["Partition"], job["Restarts"]) == ("COMPLETED", "gpu", "1"), job
    assert cluster.record(verdict.job_id) == record
    again = dict(e.split("=", 1) for e in (tmp_path / "1.out").read_text().split("\0") if "=" in e)
    assert (again["HET_KIND"], again["HET_TYPE"]) == ("gpu", "a100")
