"""What the plugin does to a job_desc: only what the author left open, and nothing when it refuses."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from hetslurm.cluster import Partition
from hetslurm.slurm.plugin import installed_version

GPU_OR_CPU = """#!/bin/bash
#HET app=align
#HET target=gpu:a100:1 cpus=8 mem=32G time=40:00
#HET target=cpu cpus=64 mem=64G time=4:00:00
srun align
"""
OPEN = dict.fromkeys(
    [
        "min_nodes",
        "max_nodes",
        "num_tasks",
        "ntasks_per_node",
        "cpus_per_task",
        "pn_min_memory",
        "time_limit",
        "priority",
    ],
    "open",
)
GRES = "gres/" if (installed_version().major, installed_version().minor) >= (23, 11) else "gres:"
EINVAL = 22


def untouched(answer) -> bool:
    return all(answer[name] == value for name, value in OPEN.items()) and not (
        answer["partition"] or answer["tres_per_node"] or answer["admin_comment"]
    )


def test_chosen_target_fills_in_what_the_author_left_open(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit(GPU_OR_CPU)

    assert job.rc == 0
    assert job["partition"] == "gpu"
    assert job["tres_per_node"] == f"{GRES}gpu:a100:1"
    assert (job["min_nodes"], job["max_nodes"], job["num_tasks"]) == ("1", "1", "1")
    assert (job["cpus_per_task"], job["min_cpus"]) == ("8", "8")
    assert job["pn_min_memory"] == str(32 * 1024)
    assert job["time_limit"] == "40"
    assert job["priority"] == "open"


def test_message_says_where_when_how_long_and_what_cost(slurmctld) -> None:
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU).message == (
        "hetslurm: gpu:a100:1 in partition gpu, starts now, runs about 40m, costs about 0.91 EUR"
    )


def test_record_names_the_placement_and_the_whole_request(slurmctld) -> None:
    slurmctld.publish()

    record = slurmctld.submit(GPU_OR_CPU, partition="gpu,cpu").record

    assert record.pop("het").startswith("target=gpu:a100:1,")
    assert record == {
        "hetslurm": 1,
        "state": "placed",
        "gen": 1,
        "target": "gpu:a100:1",
        "kind": "gpu",
        "type": "a100",
        "alt": 0,
        "pool": "gpu-a100",
        "partition": "gpu",
        "score": 1,
        "wait_s": 0,
        "run_s": 2400,
        "money": 0.906667,
        "pins": "p",
    }


@pytest.mark.parametrize(
    ("option", "value", "letter"),
    [
        ("time_limit", "77", "t"),
        ("pn_min_memory", "1234", "m"),
        ("cpus_per_task", "3", "c"),
        ("tres_per_node", f"{GRES}gpu:a100:2", "g"),
        ("partition", "gpu", "p"),
        ("num_tasks", "2", "k"),
        ("priority", "0", "h"),
    ],
)
def test_what_the_author_fixed_stays_as_it_is(slurmctld, option: str, value: str, letter: str) -> None:
    slurmctld.publish()

    job = slurmctld.submit(GPU_OR_CPU, **{option: value})

    assert job.rc == 0
    assert job[option] == value
    assert job.record["pins"] == letter


def test_named_node_count_stays(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit("#!/bin/sh\n#HET target=cpu cpus=4 time=10\n", min_nodes=2, max_nodes=2)

    assert (job["min_nodes"], job["max_nodes"], job["num_tasks"], job["cpus_per_task"]) == (
        "2",
        "2",
        "2",
        "4",
    )


def test_tasks_of_the_author_share_the_targets_cpus(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit(GPU_OR_CPU, num_tasks=4, min_cpus=4)

    assert (job["num_tasks"], job["cpus_per_task"], job["min_cpus"]) == ("4", "2", "8")


def test_partition_list_of_the_author_narrows_to_the_chosen_one(slurmctld) -> None:
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU, partition="fpga,cpu")["partition"] == "cpu"


def test_cpu_target_asks_for_no_gres(slurmctld) -> None:
    slurmctld.publish()

    assert slurmctld.submit("#!/bin/sh\n#HET target=cpu cpus=4\n")["tres_per_node"] == ""


def test_target_without_a_type_gets_the_type_that_was_chosen(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit("#!/bin/sh\n#HET target=fpga:1 time=5\n")

    assert job["tres_per_node"] == f"{GRES}fpga:u250:1"
    assert job.record["target"] == "fpga:1"
    assert job.record["type"] == "u250"


def test_limit_grows_on_a_slower_device_and_never_shrinks(slurmctld, slower) -> None:
    script = "#!/bin/sh\n#HET target=gpu:a100:1 time=40:00\n"
    cpu, gpu, fpga = slurmctld.pools

    slurmctld.pools = [cpu, slower(gpu, 0.5), fpga]
    slurmctld.publish()
    grown = slurmctld.submit(script)
    slurmctld.pools = [cpu, slower(gpu, 4.0), fpga]
    slurmctld.publish()
    kept = slurmctld.submit(script)

    assert (grown["time_limit"], kept["time_limit"]) == ("80", "40")


def test_batch_environment_tells_where_it_landed_and_keeps_the_rest(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit(GPU_OR_CPU, env=["HOME=/home/u", "HET_KIND=old", "PATH=/bin"])

    assert job.env == {
        "HOME": "/home/u",
        "PATH": "/bin",
        "HET_KIND": "gpu",
        "HET_TYPE": "a100",
        "HET_TARGET": "gpu:a100:1",
        "HET_POOL": "gpu-a100",
        "HET_MAP": "gpu|gpu|a100|gpu:a100:1|gpu-a100;cpu|cpu||cpu|cpu",
        "SLURM_CPUS_PER_TASK": "8",
    }


def test_option_wins_over_the_script(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit(GPU_OR_CPU, spank="_SLURM_SPANK_OPTION_hetslurm_het=target=fpga:u250:1,time=9")

    assert job["partition"] == "fpga"


def test_job_without_directives_is_untouched(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit(
        "#!/bin/bash\n#SBATCH -p cpu\nhostname\n#HET target=gpu\n", env=["A=1"], spank="OTHER=1"
    )

    assert job.rc == 0
    assert job.message == ""
    assert untouched(job)
    assert job.env == {"A": "1"}


def test_wrong_directive_is_refused_with_line_and_word_and_changes_nothing(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit("#!/bin/bash\n#HET target=cpu cpus=4\n#HET targt=gpu\n", env=["A=1"])

    assert job.rc == EINVAL
    assert job.message.startswith("hetslurm: ")
    assert "line 3" in job.message
    assert "targt" in job.message
    assert untouched(job)
    assert job.env == {"A": "1"}


def test_impossible_job_is_refused_with_a_reason_per_target_and_changes_nothing(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit(
        "#!/bin/sh\n#HET target=gpu:a100:9\n#HET target=cpu cpus=640\n#HET target=tpu:1\n", env=["A=1"]
    )

    assert job.rc != 0
    assert job.message == (
        "hetslurm: nothing here can run this job; gpu:a100:9: its nodes have too few devices; "
        "cpu: its nodes have too few cpus; tpu:1: no pool offers this kind and type"
    )
    assert untouched(job)
    assert job.env == {"A": "1"}


def test_without_a_snapshot_the_job_is_held_and_otherwise_untouched(slurmctld) -> None:
    job = slurmctld.submit(GPU_OR_CPU, env=["A=1"])

    assert job.rc == 0
    assert "held" in job.message
    assert job["priority"] == "0"
    assert job.record["state"] == "held"
    assert job.record["het"].startswith("target=gpu:a100:1,")
    assert job.env == {"A": "1", "HET_MAP": ""}
    assert (job["partition"], job["time_limit"], job["min_nodes"]) == ("", "open", "open")


def test_damaged_snapshot_is_as_good_as_none(slurmctld) -> None:
    slurmctld.publish()
    damaged = bytearray(slurmctld.snapshot.read_bytes())
    for at in range(64, len(damaged), 997):
        damaged[at] ^= 0x5A
    slurmctld.snapshot.write_bytes(damaged)

    job = slurmctld.submit(GPU_OR_CPU)

    assert job["priority"] == "0"
    assert "hetslurm: no snapshot" in job.log


def test_admin_may_reject_instead_of_hold(slurmctld) -> None:
    slurmctld.settings = "OnAbsent=reject\n"

    job = slurmctld.submit(GPU_OR_CPU)

    assert job.rc != 0
    assert untouched(job)


def test_stale_snapshot_leaves_the_choice_to_the_authors_order(slurmctld) -> None:
    slurmctld.publish(age_s=3600)

    job = slurmctld.submit(
        "#!/bin/sh\n#HET target=gpu:h100:1\n#HET target=cpu cpus=4 time=4:00:00\n#HET target=gpu:1 time=9\n"
    )

    assert job["partition"] == "cpu"
    assert job.record["state"] == "ordered"
    assert "stale" in job.message


def test_partition_that_is_closed_to_the_author_is_never_picked(slurmctld) -> None:
    slurmctld.partitions = (
        Partition("cpu", ("c1", "c2"), is_default=True),
        replace(Partition("gpu", ("g1",)), allow_accounts=frozenset({"physics"})),
        Partition("fpga", ("f1",)),
    )
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU, account="biology")["partition"] == "cpu"
    assert slurmctld.submit(GPU_OR_CPU, account="Physics")["partition"] == "gpu"


def test_jobs_of_one_moment_do_not_all_take_the_same_device(slurmctld) -> None:
    slurmctld.publish()
    script = "#!/bin/sh\n#HET target=gpu:a100:2 time=4:00:00\n#HET target=cpu cpus=4 time=4:10:00\n"

    assert slurmctld.submit(script)["partition"] == "gpu"
    assert slurmctld.submit(script, repeat=2)["partition"] == "cpu"


def test_array_counts_all_its_tasks(slurmctld) -> None:
    slurmctld.publish()
    script = "#!/bin/sh\n#HET target=gpu:a100:1 time=1:00\n#HET target=cpu cpus=4 time=20:00\n"

    assert slurmctld.submit(script, repeat=4)["partition"] == "gpu"
    assert slurmctld.submit(script, repeat=2, array_inx="0-99%8")["partition"] == "cpu"


def test_bad_setting_is_logged_and_left_out(slurmctld) -> None:
    slurmctld.settings = "Colour=blue\nOnAbsent=perhaps\n"
    slurmctld.publish()

    job = slurmctld.submit(GPU_OR_CPU)

    assert job["partition"] == "gpu"
    assert "line 3: unknown key" in job.log
    assert "line 4: expected OnAbsent=hold or OnAbsent=reject" in job.log


def test_names_survive_the_record(slurmctld) -> None:
    slurmctld.publish()
    job = slurmctld.submit(
        '#!/bin/sh\n#HET target=cpu name=o"q\\n cpus=1\n', admin_comment='for "me" \\ only'
    )

    if job.rc == 0:
        assert job.record["target"] == 'o"q\\n'
        assert job.record["comment"] == 'for "me" \\ only'
    else:
        assert "name" in job.message or 'o"q' in job.message


def test_plugin_has_no_python_in_it(build_dir) -> None:
    for name in ("job_submit_hetslurm.so", "spank_hetslurm.so"):
        symbols = subprocess.run(
            ["nm", "-D", build_dir / name], check=True, capture_output=True, text=True
        ).stdout
        names = [line.split()[-1].split("@")[0] for line in symbols.splitlines()]
        libraries = subprocess.run(
            ["ldd", build_dir / name], check=True, capture_output=True, text=True
        ).stdout
        assert not [one for one in names if one.startswith(("Py", "_Py"))]
        assert "libpython" not in libraries
