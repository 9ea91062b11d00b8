"""What --nodes means, and the files that come of it."""

import pytest

from hetslurm.errors import SandboxError
from hetslurm.sandbox import NodeGroup, parse_cloud, parse_nodes


def test_groups_get_a_partition_each_named_by_kind_where_that_is_enough() -> None:
    cpu, gpu, fpga = parse_nodes("cpu=4, gpu:a100:2=3,fpga:u250=1")
    assert (cpu.partition, cpu.nodes, cpu.gres) == ("cpu", 4, "")
    assert (gpu.partition, gpu.gres, gpu.node_names()) == ("gpu", "gpu:a100:2", ("gpu1", "gpu2", "gpu3"))
    assert (fpga.partition, fpga.gres) == ("fpga", "fpga:u250:1")


def test_two_types_of_a_kind_get_names_with_the_type() -> None:
    groups = parse_nodes("gpu:a100=1,gpu:v100=1")
    assert [group.partition for group in groups] == ["gpu-a100", "gpu-v100"]
    assert groups[1].node_names() == ("gpu-v100-1",)


def test_a_kind_without_type_is_just_counted() -> None:
    assert parse_nodes("gpu=2")[0] == NodeGroup("gpu", 2, "", 1, partition="gpu", prefix="gpu")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no node"),
        ("cpu", "'cpu'"),
        ("gpu:a100=x", "'gpu:a100=x'"),
        ("cpu:big=2", "no type"),
        ("cpu=0", "1 to"),
        ("gpu:a100:65=1", "64"),
        ("cpu=1,cpu=2", "twice"),
        ("gpu:a;b=1", "'gpu:a;b=1'"),
    ],
)
def test_a_wrong_word_is_named(text: str, word: str) -> None:
    with pytest.raises(SandboxError, match=word):
        parse_nodes(text)


def test_one_kind_of_cloud_node_is_the_partition_cloud_and_several_say_which() -> None:
    assert [(g.partition, g.nodes) for g in parse_cloud("cpu=8")] == [("cloud", 8)]
    cpu, gpu = parse_cloud("cpu=1,gpu:a100:2=3", cpus=4)
    assert (cpu.partition, gpu.partition) == ("cloud-cpu", "cloud-gpu")
    assert (gpu.kind, gpu.type, gpu.devices, gpu.cpus) == ("gpu", "a100", 2, 4)
    assert gpu.node_names()[0] == "cloud-gpu1"
