"""Every rule fires on what it is for, on nothing else, and goes when its cause has been gone for a while."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.health.rules import FAILED, RULE_NAMES, RULES, STALE, VANISHED, Rule
from hetslurm.telemetry import KIND_OF_PROBE, SCHEMAS, Meaning

from .rig import Rig, found, health


@dataclass(frozen=True)
class Case:
    """What a sick device says, beat by beat the last of it again; and words of the finding."""

    sick: tuple[dict[str, float], ...]
    text: str
    # Numbers that lie just on the well side.
    well: tuple[dict[str, float], ...] = field(default=({},))


def _rise(counter: str, by: float, **more: float) -> tuple[dict[str, float], ...]:
    return {counter: 0}, {counter: by, **more}


CASES: dict[str, Case] = {
    "memory_low": Case(({"mem_available_mb": 1000},), "1000 of 64000 MiB", ({"mem_available_mb": 2000},)),
    "oom_kills": Case(_rise("oom_kills", 1), "for want of memory", ({"oom_kills": 3},)),
    "memory_pressure": Case(({"psi_memory_full": 80},), "80 %", ({"psi_memory_full": 40},)),
    "io_pressure": Case(({"psi_io_full": 90},), "90 %", ({"psi_io_full": 40},)),
    "disk_full": Case(({"disk_used_ratio": 0.99},), "99.0%", ({"disk_used_ratio": 0.95},)),
    "disk_read_only": Case(({"read_only_disks": 2},), "2 local file systems"),
    "clock_unsynced": Case(({"clock_synced": 0},), "nothing disciplines"),
    "clock_offset": Case(({"clock_offset_s": -3},), "-3 s off", ({"clock_offset_s": -1},)),
    "memory_uncorrected": Case(({"mem_uncorrected": 1},), "1 memory errors that ECC could not"),
    "memory_corrected": Case(_rise("mem_corrected", 500), "500 since boot", _rise("mem_corrected", 100)),
    "cpu_throttled": Case(_rise("cpu_throttles", 5000), "heat", _rise("cpu_throttles", 900)),
    "kernel_errors": Case(_rise("kernel_errors", 1), "broken", ({"kernel_errors": 4},)),
    "kernel_warnings": Case(_rise("kernel_warnings", 9), "hang", _rise("kernel_warnings", 2)),
    "host_slower": Case(({"mem_gbs": 50, "dgemm_gflops": 100},), "mem_gbs 50, 100", ({"mem_gbs": 90},)),
    "link_down": Case(({"up": 0},), "link 0: down"),
    "link_lost": Case(({"up": 0, "expected_mbps": math.nan},), "down", ({"expected_mbps": math.nan},)),
    "link_slow": Case(({"speed_mbps": 1000},), "1000 Mbit/s, 10000 expected", ({"expected_mbps": math.nan},)),
    "link_errors": Case(_rise("errors", 500), "500 so far", _rise("errors", 100)),
    "link_flapping": Case(_rise("carrier_losses", 5), "comes back", _rise("carrier_losses", 1)),
    "mount_missing": Case(({"mounted": 0, "alive": math.nan},), "nothing is mounted"),
    "mount_dead": Case(({"alive": 0},), "does not answer"),
    "mount_read_only": Case(({"read_only": 1},), "read-only"),
    "mount_full": Case(({"used_ratio": 0.995},), "99.5%", ({"used_ratio": 0.98},)),
    "gpu_lost": Case(({"lost": 1},), "gpu 0: lost"),
    "gpu_ecc_uncorrected": Case(({"ecc_uncorrected": 3},), "gpu 0: 3 uncorrectable ECC errors"),
    "gpu_ecc_corrected": Case(_rise("ecc_corrected", 5000), "come fast", _rise("ecc_corrected", 1000)),
    "gpu_remap_failed": Case(({"remap_failed": 1},), "no spare row"),
    "gpu_remap_pending": Case(({"remap_pending": 1},), "waits for a reset"),
    "gpu_xid_hard": Case(
        _rise("xid_hard", 1, xid_last=79), "an XID within the last day", ({"xid_hard": 2, "xid_last": 79},)
    ),
    "gpu_xid_soft": Case(_rise("xid_soft", 9, xid_last=31), "XIDs come fast", _rise("xid_soft", 2)),
    "gpu_throttle_thermal": Case(
        ({"throttle_thermal": 1, "throttle_hw": 1, "temperature_c": 85},),
        "heat at 85",
        ({"throttle_power_cap": 1},),
    ),
    "gpu_throttle_power_brake": Case(
        ({"throttle_power_brake": 1},), "power brake", ({"throttle_power_cap": 1},)
    ),
    "gpu_throttle_hw": Case(
        ({"throttle_hw": 1},), "by its hardware", ({"throttle_hw": 1, "throttle_thermal": 1},)
    ),
    "gpu_hot": Case(({"temperature_c": 88},), "88 °C", ({"temperature_c": 87},)),
    "gpu_pcie_width": Case(({"pcie_width": 8},), "x8, x16 possible"),
    "gpu_pcie_gen": Case(
        ({"pcie_gen": 1, "utilization_ratio": 0.9},),
        "generation 1 while",
        ({"pcie_gen": 1, "utilization_ratio": 0},),
    ),
    "gpu_pcie_replays": Case(_rise("pcie_replays", 500), "sent again", _rise("pcie_replays", 100)),
    "gpu_nvlink_down": Case(({"nvlinks_up": 17},), "17 of 18"),
    "gpu_nvlink_errors": Case(_rise("nvlink_errors", 500), "500 so far", _rise("nvlink_errors", 100)),
    "gpu_slower": Case(({"copy_gbs": 40},), "copy_gbs 40, 100 in its own past", ({"copy_gbs": 86},)),
    "fpga_not_ready": Case(({"ready": 0},), "not ready"),
    "fpga_firewall": Case(({"firewall_level": 2},), "level 2"),
    "fpga_hot": Case(({"temperature_c": 99},), "99 °C", ({"temperature_c": 95},)),
    "fpga_pcie_width": Case(({"pcie_width": 8},), "x8, x16 expected"),
    "fpga_pcie_gen": Case(({"pcie_gen": 3},), "generation 3, 4 expected"),
    "fpga_errors": Case(_rise("errors", 2), "2 so far", ({"errors": 5},)),
    "instance_interrupted": Case(({"interrupted": 1, "interrupt_in_s": 90},), "takes this instance away"),
    "fpga_slower": Case(({"dma_read_gbs": 4},), "dma_read_gbs 4, 100", ({"dma_read_gbs": 99},)),
}
ALL = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def _rig(rule: Rule, first: dict[str, float] | None = None) -> Rig:
    """A rig that knows a baseline of 100 for all benchmarks of the rule's probe, on its first device."""
    rig = Rig()
    rig.beat({rule.probe: [first or {}]})
    table = rig.board.probes[rule.probe]
    rig.baselines = {rule.probe: np.full((len(table.rates), table.size), 100.0)}
    return rig


def _sicken(rig: Rig, rule: Rule, beats: int) -> list[bool]:
    sick = CASES[rule.name].sick
    for first in sick[:-1]:
        rig.beat({rule.probe: [first]})
    return [found(rig.beat({rule.probe: [sick[-1]]}), rule.name) is not None for _ in range(beats)]


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    assert {rule.name for rule in RULES} == set(CASES)
    assert len({rule.name for rule in RULES}) == len(RULES)
    others = {rule.name for of in (FAILED, STALE, VANISHED) for rule in of.values()} | {
        "silent",
        "clock_skew",
    }
    assert {rule.name for rule in RULES} | others == RULE_NAMES


@ALL
def test_it_is_raised_after_as_many_bad_samples_as_it_says_and_tells_what_it_saw(rule: Rule) -> None:
    rig = _rig(rule)
    raised = _sicken(rig, rule, rule.raise_after)
    assert raised == [False] * (rule.raise_after - 1) + [True]
    finding = found(rig.judge(), rule.name)
    assert finding is not None
    assert CASES[rule.name].text in finding.text
    assert (finding.probe, finding.index) == (rule.probe, 0)
    assert rig.now - finding.since == (rule.raise_after - 1) * 5.0


@ALL
def test_it_is_not_raised_by_what_is_still_well(rule: Rule) -> None:
    for rig in (Rig(), _rig(rule, CASES[rule.name].well[0])):
        for well in CASES[rule.name].well:
            assert found(rig.beat({rule.probe: [well]}, times=15), rule.name) is None


@ALL
def test_a_device_that_is_well_has_no_finding_at_all(rule: Rule) -> None:
    rig = Rig()
    judged = rig.beat({rule.probe: [{}, {}]}, times=20)
    assert judged.findings == {}
    assert (judged.health == 1.0).all()


@ALL
def test_it_goes_when_its_cause_has_been_gone_for_clear_s(rule: Rule) -> None:
    rig = _rig(rule)
    assert _sicken(rig, rule, rule.raise_after)[-1]
    # Counters stay where they are; what they did must first be long enough ago.
    counters = {m.name for m in SCHEMAS[rule.probe] if m.meaning is Meaning.COUNTER}
    lasting = {"mem_uncorrected", "ecc_uncorrected"}
    rates = {m.name: 100.0 for m in SCHEMAS[rule.probe] if m.meaning is Meaning.RATE}
    again = {k: v for k, v in CASES[rule.name].sick[-1].items() if k in counters - lasting}
    if again:
        rig.now += 30 * 86400
        assert found(rig.beat({rule.probe: [again]}), rule.name) is None
        return
    assert found(rig.beat({rule.probe: [rates]}, times=11), rule.name) is not None
    assert found(rig.beat({rule.probe: [rates]}), rule.name) is None


@ALL
def test_it_is_hard_only_when_it_says_so_and_stays(rule: Rule) -> None:
    rig = _rig(rule)
    _sicken(rig, rule, rule.raise_after)
    beats = max(rule.raise_after, rule.hard_after)
    for at in range(rule.raise_after, 20):
        finding = found(rig.judge(), rule.name)
        assert finding is not None
        assert finding.is_hard == (rule.hard_after > 0 and at >= beats)
        rig.beat({rule.probe: [CASES[rule.name].sick[-1]]})
    assert (found(rig.judge(), rule.name) is not None) or rule.hard_after == 0


@ALL
def test_it_leaves_its_factor_of_the_health_of_what_it_ails(rule: Rule) -> None:
    rig = _rig(rule)
    _sicken(rig, rule, rule.raise_after)
    judged = rig.judge()
    (finding,) = judged.findings["n1"]
    assert finding.factor == (0.0 if finding.is_hard else rule.factor)
    kind = KIND_OF_PROBE.get(rule.probe)
    if kind is None:
        assert (judged.health == finding.factor).all()
    else:
        assert health(judged, kind) == finding.factor
        assert health(judged, "cpu") == 1.0


@ALL
def test_a_sample_in_which_everything_is_unknown_neither_raises_it_nor_heals_it(rule: Rule) -> None:
    nothing = {metric.name: math.nan for metric in SCHEMAS[rule.probe]}
    rig = _rig(rule)
    assert found(rig.beat({rule.probe: [nothing]}, times=20), rule.name) is None
    rig = _rig(rule)
    assert _sicken(rig, rule, rule.raise_after)[-1]
    rig.now += 100.0
    assert found(rig.beat({rule.probe: [nothing]}, times=20), rule.name) is not None


@ALL
def test_a_sample_is_counted_once_however_often_it_is_sent_and_judged(rule: Rule) -> None:
    rig = _rig(rule)
    sick = CASES[rule.name].sick
    for first in sick:
        rig.beat({rule.probe: [first]})
    for _ in range(20):
        rig.beat({rule.probe: [sick[-1]]}, rerun=False)
        rig.judge()
    assert (found(rig.judge(), rule.name) is not None) == (rule.raise_after == 1)


@ALL
def test_an_ignored_rule_is_not_judged(rule: Rule) -> None:
    rig = _rig(rule)
    object.__setattr__(rig.site, "ignore", frozenset({rule.name}))
    assert not any(_sicken(rig, rule, 15))


@ALL
def test_a_rule_that_is_only_stored_is_shown_and_changes_nothing(rule: Rule) -> None:
    rig = _rig(rule)
    object.__setattr__(rig.site, "store_only", frozenset({rule.name}))
    assert any(_sicken(rig, rule, 15))
    for finding in rig.judge().findings.get("n1", ()):
        assert not finding.counts
        assert not finding.is_hard
    assert (rig.judge().health == 1.0).all()


@given(
    st.sampled_from(sorted(SCHEMAS)),
    st.lists(
        st.dictionaries(st.integers(0, 60), st.floats(allow_nan=True, allow_infinity=True)),
        min_size=1,
        max_size=6,
    ),
)
def test_no_numbers_whatever_break_judging_or_leave_health_outside_its_range(
    probe: str, samples: list[dict[int, float]]
) -> None:
    rig = Rig()
    names = [metric.name for metric in SCHEMAS[probe]]
    for sample in samples:
        judged = rig.beat({probe: [{names[k % len(names)]: v for k, v in sample.items()}]})
        assert ((judged.health >= 0) & (judged.health <= 1)).all()
        assert (np.isfinite(judged.speed) & (judged.speed > 0)).all()
