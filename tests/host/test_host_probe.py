"""The host probe as a whole: a sick node, a node that tells nothing, this machine, and what looking costs."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hetslurm.host import open_host_probe, open_link_probe, open_mount_probe
from hetslurm.site import AgentSite
from hetslurm.telemetry import HOST, ProbeState

Golden = Callable[[str], str]
RATES = {"mem_gbs", "dgemm_gflops", "measured_age_s"}


def test_a_node_with_all_files_has_all_numbers(make_tree, golden: Golden) -> None:  # type: ignore[no-untyped-def]
    cpu = "sys/devices/system/cpu"
    root = make_tree(
        {
            "proc/loadavg": "0.50 0.40 0.30 1/99 1234\n",
            "proc/uptime": "100.5 200.0\n",
            "proc/meminfo": golden("meminfo"),
            "proc/vmstat": golden("vmstat"),
            "proc/pressure/cpu": golden("pressure_memory"),
            "proc/pressure/memory": golden("pressure_memory"),
            "proc/pressure/io": golden("pressure_memory"),
            "proc/self/mountinfo": "28 1 259:3 / / rw - ext4 /dev/sda1 rw,emergency_ro\n"
            "29 28 0:9 / /tmp rw - tmpfs tmpfs rw\n",
            "tmp/file": "",
            "etc/machine-id": "3d12\n",
            f"{cpu}/online": "0-1\n",
            f"{cpu}/cpu0/thermal_throttle/core_throttle_count": "6\n",
            "sys/devices/system/edac/mc/mc0/ce_count": "2\n",
            "sys/devices/system/edac/mc/mc0/ue_count": "0\n",
            "kmsg": "",
        }
    )
    probe = open_host_probe(AgentSite(kernel_log=str(root / "kmsg")), root)
    (row,) = probe.sample().rows
    probe.close()
    names = {metric.name for metric in HOST} - RATES
    # The offset is known only where this machine's clock is disciplined.
    assert set(row.values) | {"clock_offset_s"} == names
    assert row.values["psi_cpu_some"] == 12.51
    assert row.values["psi_io_full"] == 7.25
    assert row.values["read_only_disks"] == 1
    assert 0 <= row.values["disk_used_ratio"] <= 1
    assert row.values["cpu_throttles"] == 6
    assert row.facts == {"id": "3d12", "read_only": "/", "fullest_disk": "/tmp"}


def test_a_node_that_tells_nothing_is_a_failed_probe_not_a_healthy_node(make_tree) -> None:  # type: ignore[no-untyped-def]
    probe = open_host_probe(AgentSite(kernel_log="/nowhere"), make_tree({}))
    sample = probe.sample()
    assert (sample.state, sample.rows) == (ProbeState.FAILED, ())
    assert "/proc" in sample.message


def test_what_one_file_does_not_tell_leaves_the_rest_known(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree({"proc/loadavg": "0.5 0 0\n", "proc/meminfo": "MemTotal: lots\n", "proc/vmstat": "\n"})
    (row,) = open_host_probe(AgentSite(kernel_log="/nowhere"), root).sample().rows
    known = {name for name, value in row.values.items() if not math.isnan(value)}
    assert known - {"clock_synced", "clock_offset_s"} == {"load1"}


def test_this_machine_has_sane_numbers() -> None:
    probe = open_host_probe(AgentSite())
    sample = probe.sample()
    probe.close()
    assert sample.state == ProbeState.OK
    (row,) = sample.rows
    assert set(row.values) <= {metric.name for metric in HOST}
    assert row.values["cpus"] >= 1
    assert 0 < row.values["mem_available_mb"] <= row.values["mem_total_mb"]
    assert 0 <= row.values["disk_used_ratio"] <= 1
    assert row.values["uptime_s"] > 0
    assert row.values["clock_synced"] in (0.0, 1.0)
    assert row.facts["kernel"]
    # A machine that was just made may have no name for life yet.
    named = Path("/etc/machine-id")
    assert row.facts.get("id") or not (named.exists() and named.read_text().strip())


def test_rates_are_measured_and_never_sampled() -> None:
    probe = open_host_probe(AgentSite())
    assert not RATES & set(probe.sample().rows[0].values)
    probe.close()


def _cpu_ms(sample: Callable[[], object], times: int = 50) -> float:
    start = time.process_time()
    for _ in range(times):
        sample()
    return (time.process_time() - start) / times * 1e3


def test_looking_costs_next_to_nothing() -> None:
    agent = AgentSite()
    for open_probe, most_ms in ((open_host_probe, 1.0), (open_link_probe, 0.3)):
        probe = open_probe(agent)
        # The quietest of several rounds: other work on the machine makes cpu time longer, too.
        assert min(_cpu_ms(probe.sample) for _ in range(10)) < most_ms
        probe.close()


def test_sampling_loads_nothing_heavy() -> None:
    code = (
        "import sys; from hetslurm.host import *; from hetslurm.site import AgentSite\n"
        "for open_probe in (open_host_probe, open_link_probe, open_mount_probe):\n"
        "    probe = open_probe(AgentSite(mounts=frozenset({'/'}))); probe.sample(); probe.close()\n"
        "print(sorted({'numpy', 'subprocess', 'asyncio', 'zmq'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_probes_hold_no_file_after_they_are_closed() -> None:
    before = set(os.listdir("/proc/self/fd"))
    for open_probe in (open_host_probe, open_link_probe, open_mount_probe):
        probe = open_probe(AgentSite())
        probe.sample()
        probe.close()
    assert set(os.listdir("/proc/self/fd")) == before
