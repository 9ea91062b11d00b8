"""What is wrong with a GPU or an FPGA. docs/health.md has the reasons."""

from __future__ import annotations

from hetslurm.health.rows import (
    Rows,
    above,
    is_set,
    is_unset,
    less_than,
    rises_past,
    rose_within,
    slower,
)
from hetslurm.health.rule import DAY_S, MINUTE_S, Rule, tell_slower

# Used enough that clocks and links are as fast as they get.
BUSY = 0.5


def _tell_xid(rows: Rows, slot: int) -> str:
    """The newest XID may be a harmless one that came after; its words are a fact of the device."""
    word = rows.table.facts_of(slot).get("xid", "")
    newest = f"; the newest: {word}" if word else ""
    return f"an XID within the last day says that the device or its memory is broken{newest}"


_THERMAL, _BRAKE = is_set("throttle_thermal"), is_set("throttle_power_brake")
GPU_RULES = (
    Rule(
        "gpu_lost",
        "gpu",
        ("lost",),
        is_set("lost"),
        "lost: it does not answer",
        factor=0.0,
        hard_after=2,
    ),
    Rule(
        "gpu_ecc_uncorrected",
        "gpu",
        ("ecc_uncorrected",),
        is_set("ecc_uncorrected"),
        "{ecc_uncorrected:.0f} uncorrectable ECC errors since the driver was loaded",
        factor=0.0,
        hard_after=2,
    ),
    Rule(
        "gpu_ecc_corrected",
        "gpu",
        ("ecc_corrected",),
        rises_past("ecc_corrected", 1000),
        "ECC errors that are corrected come fast, {ecc_corrected:.0f} since the driver was loaded",
        factor=0.7,
        raise_after=2,
    ),
    Rule(
        "gpu_remap_failed",
        "gpu",
        ("remap_failed",),
        is_set("remap_failed"),
        "a row remap failed: no spare row is left",
        factor=0.0,
        hard_after=2,
    ),
    Rule(
        "gpu_remap_pending",
        "gpu",
        ("remap_pending",),
        is_set("remap_pending"),
        "a row remap waits for a reset",
        factor=0.5,
    ),
    Rule(
        "gpu_xid_hard",
        "gpu",
        ("xid_hard",),
        rose_within("xid_hard", DAY_S),
        "",
        factor=0.0,
        hard_after=2,
        say=_tell_xid,
    ),
    Rule(
        "gpu_xid_soft",
        "gpu",
        ("xid_soft",),
        rises_past("xid_soft", 3),
        "XIDs come fast, {xid_soft:.0f} so far",
        factor=0.8,
    ),
    Rule(
        "gpu_throttle_thermal",
        "gpu",
        ("throttle_thermal",),
        _THERMAL,
        "slowed down for heat at {temperature_c:.0f} °C",
        factor=0.5,
    ),
    Rule(
        "gpu_throttle_power_brake",
        "gpu",
        ("throttle_power_brake",),
        _BRAKE,
        "slowed down by an external power brake",
        factor=0.5,
    ),
    Rule(
        "gpu_throttle_hw",
        "gpu",
        ("throttle_hw",),
        lambda rows: is_set("throttle_hw")(rows) & ~_THERMAL(rows) & ~_BRAKE(rows),
        "slowed down by its hardware",
        factor=0.5,
    ),
    Rule(
        "gpu_hot",
        "gpu",
        ("temperature_c", "temperature_slowdown_c"),
        lambda rows: (
            rows["temperature_c"] > rows["temperature_slowdown_c"] - rows.limits["gpu_temperature_margin_c"]
        ),
        "{temperature_c:.0f} °C, it slows down at {temperature_slowdown_c:.0f}",
        factor=0.7,
        raise_after=2,
    ),
    Rule(
        "gpu_pcie_width",
        "gpu",
        ("pcie_width", "pcie_width_max"),
        less_than("pcie_width", "pcie_width_max"),
        "PCIe x{pcie_width:.0f}, x{pcie_width_max:.0f} possible",
        factor=0.6,
        raise_after=3,
    ),
    Rule(
        "gpu_pcie_gen",
        "gpu",
        ("pcie_gen", "pcie_gen_max", "utilization_ratio"),
        lambda rows: (rows["pcie_gen"] < rows["pcie_gen_max"]) & (rows["utilization_ratio"] > BUSY),
        "PCIe generation {pcie_gen:.0f} while busy, {pcie_gen_max:.0f} possible",
        factor=0.7,
        raise_after=3,
    ),
    Rule(
        "gpu_pcie_replays",
        "gpu",
        ("pcie_replays",),
        rises_past("pcie_replays", 100),
        "PCIe packets are sent again, {pcie_replays:.0f} so far",
        factor=0.8,
        raise_after=2,
    ),
    Rule(
        "gpu_nvlink_down",
        "gpu",
        ("nvlinks", "nvlinks_up"),
        less_than("nvlinks_up", "nvlinks"),
        "{nvlinks_up:.0f} of {nvlinks:.0f} NVLinks up",
        factor=0.4,
        raise_after=2,
    ),
    Rule(
        "gpu_nvlink_errors",
        "gpu",
        ("nvlink_errors",),
        rises_past("nvlink_errors", 100),
        "NVLink errors come fast, {nvlink_errors:.0f} so far",
        factor=0.8,
        raise_after=2,
    ),
    Rule("gpu_slower", "gpu", (), slower(), "", factor=0.8, say=tell_slower),
)

FPGA_RULES = (
    Rule(
        "fpga_not_ready",
        "fpga",
        ("ready",),
        is_unset("ready"),
        "not ready: the card or its shell does not answer",
        factor=0.0,
        hard_after=4,
    ),
    Rule(
        "fpga_firewall",
        "fpga",
        ("firewall_level",),
        is_set("firewall_level"),
        "AXI firewall tripped at level {firewall_level:.0f}",
        factor=0.0,
        hard_after=2,
    ),
    Rule(
        "fpga_hot",
        "fpga",
        ("temperature_c",),
        above("temperature_c", "fpga_temperature_c"),
        "{temperature_c:.0f} °C",
        factor=0.5,
        raise_after=2,
    ),
    Rule(
        "fpga_pcie_width",
        "fpga",
        ("pcie_width", "pcie_width_max"),
        less_than("pcie_width", "pcie_width_max"),
        "PCIe x{pcie_width:.0f}, x{pcie_width_max:.0f} expected",
        factor=0.6,
        raise_after=3,
    ),
    Rule(
        "fpga_pcie_gen",
        "fpga",
        ("pcie_gen", "pcie_gen_max"),
        less_than("pcie_gen", "pcie_gen_max"),
        "PCIe generation {pcie_gen:.0f}, {pcie_gen_max:.0f} expected",
        factor=0.7,
        raise_after=3,
    ),
    Rule(
        "fpga_errors",
        "fpga",
        ("errors",),
        rose_within("errors", 10 * MINUTE_S),
        "it records errors, {errors:.0f} so far",
        factor=0.7,
    ),
    Rule("fpga_slower", "fpga", (), slower(), "", factor=0.8, say=tell_slower),
)
