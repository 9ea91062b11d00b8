"""What a real Slurm 22.05 wrote (golden/) is read as it was meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hetslurm.cluster import UNLIMITED, Association, Gres, Node, PriorityRules, Reservation
from hetslurm.errors import SlurmError
from hetslurm.slurm.accounting_text import parse_associations
from hetslurm.slurm.controller_text import parse_site_factors
from hetslurm.slurm.job_text import QUEUE_COLUMNS, WIDEST, Columns, job_of_row
from hetslurm.slurm.node_text import parse_nodes, parse_state, without_old_words
from hetslurm.slurm.partition_text import parse_partitions, parse_settings
from hetslurm.slurm.record import parse_record
from hetslurm.slurm.reservation_text import parse_reservations
from hetslurm.slurm.version import SlurmVersion, parse_version

GOLDEN = Path(__file__).parent / "golden"


def _text(name: str) -> str:
    return (GOLDEN / name).read_text()


def test_nodes_are_read_with_what_they_have_and_what_is_taken() -> None:
    nodes = {node.name: node for node in parse_nodes(_text("nodes.txt"))}
    gpu = nodes["gpu1"]
    assert (gpu.cpus, gpu.mem_mb, gpu.cpus_allocated, gpu.mem_mb_allocated) == (16, 128000, 3, 1000)
    assert gpu.gres == (Gres("gpu", "a100", 2),)
    assert gpu.gres_used == (Gres("gpu", "a100", 1),)
    assert gpu.features == {"nvme"}
    assert nodes["cpu1"].gres == ()
    assert gpu.weight == 1
    assert nodes["fpga1"].free_units("fpga", "u250") == 1
    assert nodes["cpu1"].free_units("cpu", "") == 14


def test_a_reason_that_looks_like_a_field_changes_nothing() -> None:
    drained = {node.name: node for node in parse_nodes(_text("nodes.txt"))}["cpu2"]
    assert drained.state == {"IDLE", "DRAIN"}
    assert drained.reason == "bad disk State=IDLE [x]"
    assert (drained.reason_by, drained.reason_at) == ("root", 1795464787.0)
    assert not drained.is_usable


@pytest.mark.parametrize(
    ("text", "words", "usable"),
    [
        ("IDLE", {"IDLE"}, True),
        ("MIXED+PLANNED", {"MIXED", "PLANNED"}, True),
        ("IDLE+CLOUD+POWERED_DOWN", {"IDLE", "CLOUD", "POWERED_DOWN"}, True),
        ("IDLE~", {"IDLE", "POWERED_DOWN"}, True),
        ("ALLOCATED#*", {"ALLOCATED", "POWERING_UP", "NOT_RESPONDING"}, True),
        ("IDLE+NOT_RESPONDING", {"IDLE", "NOT_RESPONDING"}, False),
        ("IDLE*", {"IDLE", "NOT_RESPONDING"}, False),
        ("MIXED+DRAIN", {"MIXED", "DRAIN"}, False),
        ("DOWN*+DRAIN", {"DOWN", "NOT_RESPONDING", "DRAIN"}, False),
        ("IDLE+MAINTENANCE+RESERVED", {"IDLE", "MAINTENANCE", "RESERVED"}, False),
        ("IDLE+INVALID_REG", {"IDLE", "INVALID_REG"}, False),
        ("UNKNOWN", {"UNKNOWN"}, False),
    ],
)
def test_states_are_read_and_only_nodes_that_take_jobs_are_usable(
    text: str, words: set[str], usable: bool
) -> None:
    assert parse_state(text) == words
    line = f"NodeName=n CPUAlloc=0 CPUTot=1 RealMemory=1 AllocMem=0 State={text} Weight=1"
    assert next(parse_nodes(line)).is_usable is usable


def test_what_the_system_keeps_of_a_node_is_not_offered() -> None:
    line = (
        "NodeName=n CPUAlloc=0 CPUEfctv=14 CPUTot=16 RealMemory=1000 AllocMem=0 MemSpecLimit=200 State=IDLE"
    )
    node = next(parse_nodes(line))
    assert (node.cpus, node.mem_mb) == (14, 800)


def test_a_node_that_is_only_a_template_is_left_out() -> None:
    assert not list(parse_nodes("NodeName=n CPUAlloc=0 CPUTot=1 RealMemory=1 AllocMem=0 State=FUTURE"))


def test_partitions_are_read_with_limits_and_lists() -> None:
    settings = parse_settings(_text("config.txt"))
    cpu, gpu, fpga, everything = parse_partitions(_text("partitions.txt"), settings)
    assert cpu.is_default
    assert (cpu.max_time_min, cpu.default_time_min) == (1440, 60)
    assert (cpu.allow_accounts, cpu.deny_accounts) == (None, {"bad"})
    assert (gpu.max_nodes, gpu.min_nodes, gpu.max_cpus_per_node, gpu.max_mem_mb_per_node) == (2, 1, 12, 64000)
    assert gpu.allow_accounts == {"lab", "root"}
    assert (fpga.state, fpga.allow_groups, fpga.max_mem_mb_per_cpu) == ("DOWN", {"users", "root"}, 2000)
    assert (everything.allow_qos, everything.priority_tier) == ({"normal"}, 5)
    assert everything.alloc_nodes == {"login1", "login2"}
    assert everything.nodes == ("cpu1", "cpu2", "fpga1", "gpu1", "gpu2")


def test_the_cluster_s_memory_limit_holds_where_a_partition_sets_none() -> None:
    config = _text("config.txt").replace("MaxMemPerNode           = UNLIMITED", "MaxMemPerNode = 5000")
    cpu, gpu, fpga, _ = parse_partitions(_text("partitions.txt"), parse_settings(config))
    assert (cpu.max_mem_mb_per_node, gpu.max_mem_mb_per_node) == (5000, 64000)
    assert fpga.max_mem_mb_per_node == UNLIMITED


def test_settings_are_read() -> None:
    settings = parse_settings(_text("config.txt"))
    assert (settings.cluster, settings.version, settings.slurm_user) == ("adtest", (22, 5, 8), "root")
    assert settings.has_database
    assert not settings.enforces_associations
    assert parse_settings(
        _text("config.txt").replace("Enforce = none", "Enforce = associations,limits")
    ).enforces_associations


def test_a_version_that_is_none_is_refused() -> None:
    assert parse_version("slurm 26.05.1-0rc1") == (26, 5, 1)
    with pytest.raises(SlurmError):
        parse_version("slurm-git")


def test_associations_are_users_only_with_their_default() -> None:
    assert set(parse_associations(_text("associations.txt") + "|||root||\n")) == {
        Association("nobody", "bad", "cpu"),
        Association("nobody", "lab", "", "normal", is_default=True),
        Association("root", "lab"),
        Association("root", "root", is_default=True),
    }


def test_jobs_are_read_whatever_their_names_hold() -> None:
    output = (GOLDEN / "queue.bin").read_bytes()
    rows = list(Columns(QUEUE_COLUMNS).rows(output))
    assert not any(cut for _, cut in rows)
    jobs = {job.job_id: job for job in (job_of_row(fields) for fields, _ in rows)}
    array = jobs[50]
    assert array.name == "line\nbreak = x"
    assert (array.tasks, array.array_job_id, array.array_task) == (2, 50, "1-19:3%2")
    record = parse_record(array.admin_comment)
    assert record is not None
    assert (record.state, record.gen, record.pins, record.is_held) == ("held", 7, "p", True)
    assert record.het == "app=x;target=gpu:a100:1,time=3"
    running = jobs[48]
    assert running.node_names == ("gpu1", "gpu2")
    assert (running.cpus, running.nodes, running.mem_mb_per_node) == (6, 2, 1000)
    assert running.gres == (Gres("gpu", "a100", 1),)
    assert jobs[49].gres == (Gres("gpu", "", 2),)
    assert jobs[51].gres == (Gres("gpu", "", 2),)
    assert (jobs[51].time_limit_min, jobs[51].reason) == (1560, "Dependency")
    assert {job.het_offset for job in jobs.values()} == {None}


def _record(widths: dict[str, int], **values: str) -> bytes:
    return b"".join(values.get(n, "").encode()[:w].ljust(w) for n, w in widths.items()) + b"\n"


def test_a_value_that_fills_its_column_is_known_to_be_cut_but_for_the_name() -> None:
    columns = Columns(QUEUE_COLUMNS)
    long = "x" * 1000
    cut = [
        is_cut
        for _, is_cut in columns.rows(
            _record(QUEUE_COLUMNS, NodeList=long) + _record(QUEUE_COLUMNS, Name=long)
        )
    ]
    assert cut == [True, False]


def test_columns_grow_up_to_a_bound() -> None:
    columns: Columns | None = Columns(QUEUE_COLUMNS)
    steps = 0
    while columns is not None:
        last, columns, steps = columns, columns.wider(), steps + 1
    assert max(last.widths.values()) == WIDEST
    assert steps < 8


def test_output_of_another_shape_is_refused() -> None:
    with pytest.raises(SlurmError):
        list(Columns(QUEUE_COLUMNS).rows(b"slurm says something else\n"))


def test_reservations_are_read_with_their_nodes_flags_and_cpus_and_those_of_licenses_left_out() -> None:
    found = {one.name: one for one in parse_reservations(_text("reservations.txt"))}
    maint = frozenset({"MAINT", "IGNORE_JOBS", "SPEC_NODES"})
    assert found["m"] == Reservation("m", 1795570325.0, 1795570925.0, ("cpu1", "cpu2"), maint, 32)
    assert found["u"].flags == {"FLEX", "DAILY", "SPEC_NODES"}
    assert (found["u2"].cpus, found["u2"].flags) == (4, {"OVERLAP"})
    assert found.keys() == {"m", "u", "u2"}
    assert list(parse_reservations("No reservations in the system\n")) == []


def test_how_priorities_are_made_is_read() -> None:
    text = _text("config.txt") + "PriorityMaxAge          = 14-00:30:00\nPriorityWeightAge       = 1000\n"
    assert parse_settings(text).priority == PriorityRules(
        "priority/multifactor", 1000, 14 * 86400 + 1800, has_database=True
    )
    basic = "ClusterName = c\nSLURM_VERSION = 22.05.8\nSlurmUser = slurm(1)\nPriorityType = priority/basic\n"
    rules = parse_settings(basic).priority
    assert (rules.has_factors, rules.weight_age, rules.has_database) == (False, 0, False)


def test_site_factors_are_read_by_job() -> None:
    assert parse_site_factors("17 900\n18 0\n18 0\n20_3 5\n") == {17: 900, 18: 0}


def test_the_reason_of_a_drain_that_is_over_is_nobody_s_where_slurm_leaves_it() -> None:
    node = Node("n1", 1, 1, frozenset({"IDLE"}), reason="bad disk", reason_by="ann", reason_at=1.0)
    drained = replace(node, state=frozenset({"IDLE", "DRAIN"}))
    wiped = replace(node, state=frozenset({"IDLE", "POWERING_UP"}))
    assert without_old_words(node, SlurmVersion(24, 11, 5)) == replace(
        node, reason="", reason_by="", reason_at=None
    )
    assert without_old_words(drained, SlurmVersion(24, 11, 5)) == drained
    assert without_old_words(wiped, SlurmVersion(24, 11, 5)) == wiped
    assert without_old_words(node, SlurmVersion(22, 5, 8)) == node
    assert without_old_words(node, SlurmVersion(26, 5, 5)) == node
