"""Counters of the hardware, and what a node is called."""

from __future__ import annotations

import math
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hetslurm.host.caches import last_level_bytes, parse_size
from hetslurm.host.edac import read_edac
from hetslurm.host.identity import parse_cpuinfo, parse_os_release, read_identity
from hetslurm.host.throttle import CoreThrottle

MC = "sys/devices/system/edac/mc"
CPU = "sys/devices/system/cpu"


def _cpus(siblings: list[str], counts: list[int]) -> dict[str, str]:
    tree = {f"{CPU}/cpufreq/boost": "1\n"}
    for cpu, (threads, count) in enumerate(zip(siblings, counts, strict=True)):
        tree[f"{CPU}/cpu{cpu}/topology/thread_siblings_list"] = threads + "\n"
        tree[f"{CPU}/cpu{cpu}/thermal_throttle/core_throttle_count"] = f"{count}\n"
    return tree


def test_memory_errors_of_all_controllers_are_added(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(
        {
            f"{MC}/mc0/ce_count": "12\n",
            f"{MC}/mc0/ue_count": "0\n",
            f"{MC}/mc1/ce_count": "3\n",
            f"{MC}/mc1/ue_count": "1\n",
            f"{MC}/power/control": "auto\n",
        }
    )
    assert read_edac(str(root)) == {"mem_corrected": 15, "mem_uncorrected": 1}


def test_memory_that_nobody_watches_has_unknown_errors(make_tree) -> None:  # type: ignore[no-untyped-def]
    assert read_edac(str(make_tree({f"{MC}/power/control": "auto\n"}))) == {}


def test_a_controller_that_does_not_answer_makes_the_sum_unknown(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree({f"{MC}/mc0/ce_count": "12\n", f"{MC}/mc1/ce_count": "\n"})
    values = read_edac(str(root))
    assert math.isnan(values["mem_corrected"])
    assert math.isnan(values["mem_uncorrected"])


def test_throttling_is_counted_once_a_core(make_tree) -> None:  # type: ignore[no-untyped-def]
    root: Path = make_tree(_cpus(["0,2", "1,3", "0,2", "1,3"], [4, 5, 4, 5]))
    throttle = CoreThrottle(str(root))
    assert throttle.read() == {"cpu_throttles": 9}
    (root / CPU / "cpu1/thermal_throttle/core_throttle_count").write_text("7\n")
    assert throttle.read() == {"cpu_throttles": 11}
    throttle.close()


def test_cpus_that_do_not_count_their_throttling_are_unknown(make_tree) -> None:  # type: ignore[no-untyped-def]
    throttle = CoreThrottle(str(make_tree({f"{CPU}/cpu0/topology/thread_siblings_list": "0\n"})))
    assert throttle.read() == {}


def test_counters_are_let_go_of(make_tree) -> None:  # type: ignore[no-untyped-def]
    throttle = CoreThrottle(str(make_tree(_cpus(["0"], [0]))))
    before = len(os.listdir("/proc/self/fd"))
    throttle.read()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    throttle.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_last_level_caches_are_added_once_each(make_tree) -> None:  # type: ignore[no-untyped-def]
    tree = {}
    for cpu in range(4):
        for index, (level, kind, size, shared) in enumerate(
            [
                ("1", "Data", "48K", str(cpu)),
                ("1", "Instruction", "32K", str(cpu)),
                ("3", "Unified", "32M", "0-1" if cpu < 2 else "2-3"),
            ]
        ):
            folder = f"{CPU}/cpu{cpu}/cache/index{index}"
            tree |= {
                f"{folder}/level": level + "\n",
                f"{folder}/type": kind + "\n",
                f"{folder}/size": size + "\n",
                f"{folder}/shared_cpu_list": shared + "\n",
            }
    assert last_level_bytes(str(make_tree(tree))) == 64 << 20
    assert last_level_bytes("/nowhere") == 0


def test_a_node_is_called_by_its_serial_number(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(
        {
            "sys/class/dmi/id/product_serial": "J3034XJ7\n",
            "etc/machine-id": "3d1219c7c4c5404aaa1f6d2a48adfda4\n",
            "proc/sys/kernel/osrelease": "5.14.0-427.el9.x86_64\n",
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9654 96-Core Processor\n",
            "etc/os-release": 'NAME="Rocky Linux"\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\n',
        }
    )
    assert read_identity(str(root)) == {
        "id": "J3034XJ7",
        "kernel": "5.14.0-427.el9.x86_64",
        "cpu": "AMD EPYC 9654 96-Core Processor",
        "os": "Rocky Linux 9.4 (Blue Onyx)",
    }


def test_a_node_without_a_serial_number_is_called_by_its_machine_id(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(
        {"sys/class/dmi/id/product_serial": "To Be Filled By O.E.M.\n", "etc/machine-id": "3d12\n"}
    )
    assert read_identity(str(root)) == {"id": "3d12"}


def test_a_node_that_nobody_named_has_no_facts(make_tree) -> None:  # type: ignore[no-untyped-def]
    assert read_identity(str(make_tree({}))) == {}


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    parse_os_release(text)
    parse_cpuinfo(text)
    assert parse_size(text) >= 0
