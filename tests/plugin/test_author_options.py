"""Slurm's own options beside directives: they narrow the choice to what slurmctld will accept."""

from __future__ import annotations

import pytest

from hetslurm.slurm.plugin import installed_version

GRES = "gres/" if (installed_version().major, installed_version().minor) >= (23, 11) else "gres:"
GPU = "#!/bin/sh\n#HET target=gpu:a100:1 cpus=2 time=10\n"
GPU_OR_CPU = GPU + "#HET target=cpu cpus=2 time=4:00:00\n"


def test_more_devices_than_a_node_has_are_refused_in_any_form(slurmctld) -> None:
    slurmctld.publish()

    for form in ("tres_per_node", "tres_per_job", "tres_per_task"):
        answer = slurmctld.submit(GPU, **{form: f"{GRES}gpu:3"})
        assert (answer.rc != 0, answer["partition"]) == (True, ""), form
        assert "its nodes have too few devices" in answer.message


def test_devices_of_the_whole_job_are_shared_among_its_nodes(slurmctld) -> None:
    slurmctld.publish()

    assert slurmctld.submit(GPU, tres_per_job=f"{GRES}gpu:8", min_nodes=1, max_nodes=4).rc == 0
    assert slurmctld.submit(GPU, tres_per_job=f"{GRES}gpu:4", num_tasks=4).rc == 0
    assert "too few devices" in slurmctld.submit(GPU, tres_per_job=f"{GRES}gpu:5").message


def test_message_names_the_devices_that_the_author_asked_for(slurmctld) -> None:
    slurmctld.publish()

    answer = slurmctld.submit(GPU, tres_per_node=f"{GRES}gpu:2")

    assert answer["tres_per_node"] == f"{GRES}gpu:2"
    assert answer.message.startswith("hetslurm: gpu:a100:2 in partition gpu")


def test_job_that_wants_no_gres_is_not_sent_to_devices(slurmctld) -> None:
    slurmctld.publish()

    answer = slurmctld.submit(GPU_OR_CPU, tres_per_node=f"{GRES}none")

    assert (answer["partition"], answer["tres_per_node"]) == ("cpu", f"{GRES}none")


def test_scratch_space_stays_beside_the_device(slurmctld) -> None:
    slurmctld.publish()

    answer = slurmctld.submit(GPU, tres_per_node=f"{GRES}lscratch:100")

    assert answer["tres_per_node"] == f"{GRES}lscratch:100,{GRES}gpu:a100:1"
    assert '"pins":""' in answer["admin_comment"] or '"pins"' not in answer["admin_comment"]


@pytest.mark.parametrize(
    "entry", ["gpu:999999999999999999999999", "gpu:" + "9" * 3000, "gpu:0", ":", "gpu:a100:"]
)
def test_nonsense_in_a_gres_does_no_harm(slurmctld, entry: str) -> None:
    slurmctld.publish()

    for form in ("tres_per_node", "tres_per_job"):
        slurmctld.submit(GPU_OR_CPU, max_nodes=3, min_nodes=1, **{form: f"{GRES}{entry}"})


def test_excluded_nodes_are_not_counted_on(slurmctld) -> None:
    slurmctld.publish()
    two = "#!/bin/sh\n#HET target=cpu cpus=2 nodes=2\n"

    assert slurmctld.submit(GPU_OR_CPU, exc_nodes="g[1-3]")["partition"] == "cpu"
    assert slurmctld.submit(GPU_OR_CPU, exc_nodes="c[1-2]")["partition"] == "gpu"
    assert "too few nodes" in slurmctld.submit(two, exc_nodes="c1,c1").message
    assert slurmctld.submit(GPU_OR_CPU, exc_nodes="[,]x[1-")["partition"] == "gpu"


def test_node_named_twice_is_one_node(slurmctld) -> None:
    slurmctld.publish()

    answer = slurmctld.submit(GPU, req_nodes="g1,g1")

    assert (answer.rc, answer["partition"], answer["num_tasks"]) == (0, "gpu", "1")


def test_least_cpus_of_a_node_must_fit(slurmctld) -> None:
    slurmctld.publish()

    answer = slurmctld.submit(GPU_OR_CPU, pn_min_cpus=48)

    assert (answer["partition"], answer["cpus_per_task"]) == ("cpu", "open")
    assert "too few cpus" in slurmctld.submit(GPU, pn_min_cpus=48).message


def test_endless_node_list_costs_nothing_and_is_left_to_slurmctld(slurmctld) -> None:
    slurmctld.publish()
    names = ",".join(f"g{i}x" for i in range(12_000))

    answer = slurmctld.submit(GPU_OR_CPU, req_nodes=names, exc_nodes=names)

    assert (answer.rc, answer["min_nodes"], answer.record["pins"]) == (0, "open", "n")
    assert int(answer["last_ns"]) < 20_000_000


@pytest.mark.parametrize(
    "names",
    [
        "a[0-60000]b[0-60000]c[0-60000]",
        "a[0-99999999999999999999]",
        "a[0-255]b[0-255]," * 900,
        "[1-9]a" * 500,
        "a[1-",
        "[]",
        "a[9-1]b[,,]",
    ],
)
def test_node_list_of_too_many_names_is_not_spelled_out(slurmctld, names: str) -> None:
    slurmctld.publish()

    answer = slurmctld.submit(GPU_OR_CPU, exc_nodes=names)

    assert answer["partition"] == "gpu"
    assert int(answer["last_ns"]) < 20_000_000


def test_names_with_two_brackets_are_read(slurmctld) -> None:
    slurmctld.publish()

    assert slurmctld.submit(GPU_OR_CPU, exc_nodes="r[1-9]n[1-9],g[1-2]")["partition"] == "cpu"
