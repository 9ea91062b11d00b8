"""Silence, probes that fail, devices that vanish, clocks that are off; health and speed of nodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hetslurm.health.judgement import Judgement
from hetslurm.site import HealthSite
from hetslurm.telemetry import ProbeState

from .rig import BEAT_S, Rig, found, health, speed

HOST = {"host": [{}]}


def _beat_all(rig: Rig, nodes: list[str], times: int = 1) -> Judgement:
    for _ in range(times):
        rig.now += BEAT_S
        for node in nodes:
            rig.send(node, HOST)
    return rig.judge()


def _names(judged: Judgement, mask: np.ndarray) -> set[str]:
    return {name for name, is_so in zip(judged.names, mask.tolist(), strict=True) if is_so}


TEN = [f"n{n}" for n in range(10)]


def test_a_board_that_heard_nobody_has_an_empty_judgement() -> None:
    judged = Rig().judge()
    assert judged.names == ()
    assert judged.health.shape == (0, 3)
    assert not judged.bus_suspected


def test_a_node_is_silent_after_three_beats_and_not_before() -> None:
    rig = Rig()
    _beat_all(rig, TEN)
    for beats, is_silent in ((1, False), (2, False), (3, False), (4, True)):
        judged = _beat_all(rig, TEN[1:])
        assert _names(judged, judged.silent) == ({"n0"} if is_silent else set()), beats
    finding = found(judged, "silent", "n0")
    assert finding is not None
    assert (finding.text, finding.is_hard) == ("no report for 20 s", False)
    assert (health(judged, "cpu", "n0"), health(judged, "gpu", "n0")) == (0.0, 0.0)
    assert _names(judged, judged.heard) == set(TEN[1:])


def test_a_report_ends_silence_at_once() -> None:
    rig = Rig()
    _beat_all(rig, TEN)
    _beat_all(rig, TEN[1:], 5)
    judged = _beat_all(rig, TEN)
    assert not judged.silent.any()
    assert judged.heard.all()
    assert health(judged, "cpu", "n0") == 1.0


def test_when_most_stop_together_the_bus_is_suspected_and_nobody_is_sick() -> None:
    rig = Rig()
    _beat_all(rig, TEN)
    for _ in range(60):
        judged = _beat_all(rig, TEN[:4])
        assert not judged.silent.any()
        assert (judged.health == 1.0).all()
    assert judged.bus_suspected
    assert _names(judged, judged.heard) == set(TEN[:4])


@pytest.mark.parametrize("spread_s", [0.0, 2.5, 4.9])
def test_a_bus_that_breaks_is_suspected_before_the_first_node_is_called_silent(spread_s: float) -> None:
    rig = Rig()
    for node in TEN:
        rig.now += spread_s / len(TEN)
        rig.send(node, HOST)
    rig.now = rig.memory.started_at + BEAT_S
    for _ in range(200):
        rig.now += 0.25
        judged = rig.judge()
        assert not judged.silent.any()
    assert judged.bus_suspected


def test_a_node_that_was_silent_before_the_bus_broke_stays_silent() -> None:
    rig = Rig()
    _beat_all(rig, TEN)
    _beat_all(rig, TEN[1:], 6)
    rig.now += 100
    judged = rig.judge()
    assert judged.bus_suspected
    assert _names(judged, judged.silent) == {"n0"}


def test_after_the_bus_is_back_nodes_have_time_to_return_and_then_count_as_silent() -> None:
    rig = Rig()
    _beat_all(rig, TEN)
    rig.now += 100
    assert rig.judge().bus_suspected
    judged = _beat_all(rig, TEN[:6])
    assert not judged.bus_suspected
    assert not judged.silent.any()
    judged = _beat_all(rig, TEN[:6], 3)
    assert not judged.silent.any()
    judged = _beat_all(rig, TEN[:6])
    assert _names(judged, judged.silent) == set(TEN[6:])


def test_what_was_wrong_with_a_node_stays_wrong_while_the_bus_is_suspected() -> None:
    rig = Rig()
    _beat_all(rig, TEN)
    rig.beat({"gpu": [{"lost": 1}]}, node="n3", times=3)
    rig.now += 100
    judged = rig.judge()
    assert judged.bus_suspected
    assert health(judged, "gpu", "n3") == 0.0


def test_a_node_that_alone_makes_the_site_can_fall_silent() -> None:
    rig = Rig()
    rig.beat(HOST)
    rig.now += 100
    judged = rig.judge()
    assert judged.silent.all()
    assert not judged.bus_suspected


def test_a_node_that_slurm_has_powered_down_is_neither_silent_nor_a_sign_against_the_bus() -> None:
    rig = Rig()
    _beat_all(rig, TEN)
    away = frozenset(TEN[3:])
    for _ in range(10):
        _beat_all(rig, TEN[:3])
        judged = rig.judge(asleep=away)
    assert not judged.silent.any()
    assert not judged.bus_suspected
    assert (judged.health == 1.0).all()


@pytest.mark.parametrize("state", [ProbeState.FAILED, ProbeState.TIMED_OUT, ProbeState.CRASHED])
def test_a_probe_that_cannot_look_lowers_health_after_three_runs(state: ProbeState) -> None:
    rig = Rig()
    rig.beat({"gpu": [{}]})
    for _ in range(2):
        assert found(rig.beat({"gpu": []}, state=state), "gpu_probe_failed") is None
    judged = rig.beat({"gpu": []}, state=state, message="no library")
    finding = found(judged, "gpu_probe_failed")
    assert finding is not None
    assert finding.text == f"the gpu probe {state.label}: no library"
    assert not finding.is_hard
    assert health(judged, "gpu") == 0.5
    assert health(judged, "cpu") == 1.0


def test_a_probe_that_fails_says_nothing_about_devices() -> None:
    rig = Rig()
    rig.beat({"gpu": [{"remap_pending": 1}, {}]})
    judged = rig.beat({"gpu": []}, state=ProbeState.FAILED, times=30)
    assert found(judged, "gpu_remap_pending") is not None
    assert found(judged, "gpu_vanished") is None


def test_a_probe_without_a_device_is_no_finding() -> None:
    judged = Rig().beat({"host": [{}], "gpu": [], "fpga": []}, state=ProbeState.ABSENT, times=20)
    assert judged.findings == {}


def test_a_probe_that_stopped_while_its_agent_goes_on_is_a_finding() -> None:
    rig = Rig()
    rig.beat({"gpu": [{}], "host": [{}]}, times=3)
    for beat in range(1, 20):
        rig.now += BEAT_S
        rig.send("n1", {"gpu": [{}]}, rerun=False, age_s=beat * BEAT_S)
        finding = found(rig.judge(), "gpu_probe_stale")
        assert (finding is not None) == (beat * BEAT_S >= 60), beat
    assert found(rig.beat({"gpu": [{}]}, times=13), "gpu_probe_stale") is None


def test_a_probe_with_a_long_beat_of_its_own_is_not_stale_within_it() -> None:
    rig = Rig()
    for _ in range(3):
        rig.beat({"mount": [{}]})
        for _ in range(59):
            assert rig.beat({"mount": [{}]}, rerun=False).findings == {}


@pytest.mark.parametrize("state", [ProbeState.OK, ProbeState.ABSENT])
@pytest.mark.parametrize("probe", ["gpu", "fpga"])
def test_a_device_that_vanished_takes_its_kind_out_and_is_hard_when_it_stays_away(
    probe: str, state: ProbeState
) -> None:
    rig = Rig()
    rig.beat({probe: [{}, {}]})
    left = [{}] if state is ProbeState.OK else []
    judged = rig.beat({probe: left}, state=state)
    finding = found(judged, f"{probe}_vanished")
    assert finding is not None
    assert (finding.index, finding.is_hard) == (len(left), False)
    assert health(judged, probe) == 0.0
    assert health(judged, "cpu") == 1.0
    finding = found(rig.beat({probe: left}, state=state, times=3), f"{probe}_vanished")
    assert finding is not None
    assert finding.is_hard
    assert found(rig.beat({probe: [{}, {}]}, times=13), f"{probe}_vanished") is None


def test_a_device_that_slurm_does_not_count_may_go() -> None:
    rig = Rig()
    rig.beat({"gpu": [{}, {}]})
    rig.now += BEAT_S
    rig.send("n1", {"gpu": [{}]})
    assert rig.judge(declared=lambda node, kind: 1).findings == {}


def test_counters_of_devices_that_moved_up_are_not_those_of_the_one_that_vanished() -> None:
    rig = Rig()
    rig.beat({"gpu": [{}, {"xid_hard": 4}]})
    judged = rig.beat({"gpu": [{"xid_hard": 4}]}, times=5)
    assert found(judged, "gpu_xid_hard") is None


def test_another_device_in_a_place_does_not_inherit_findings() -> None:
    rig = Rig()
    rig.beat({"gpu": [{"remap_failed": 1}]}, facts={"gpu": [{"id": "GPU-old"}]}, times=3)
    judged = rig.beat({"gpu": [{}]}, facts={"gpu": [{"id": "GPU-new"}]})
    assert found(judged, "gpu_remap_failed") is None
    assert health(judged, "gpu") == 1.0


def test_a_counter_that_was_reset_counts_what_it_shows_since() -> None:
    rig = Rig()
    rig.beat({"gpu": [{"xid_hard": 9}]}, times=3)
    assert rig.beat({"gpu": [{"xid_hard": 0}]}, times=3, agent=8).findings == {}
    assert found(rig.beat({"gpu": [{"xid_hard": 1, "xid_last": 79}]}), "gpu_xid_hard") is not None


def test_a_clock_far_from_the_others_is_a_finding() -> None:
    rig = Rig()
    for _ in range(3):
        rig.now += BEAT_S
        for node in TEN:
            rig.send(node, HOST, skew_s=3600.0 if node == "n0" else 0.01)
        judged = rig.judge()
    finding = found(judged, "clock_skew", "n0")
    assert finding is not None
    assert finding.text == "its clock is +3600 s off"
    assert set(judged.findings) == {"n0"}
    assert judged.heard.all()


def test_when_all_clocks_are_off_alike_it_is_ours() -> None:
    rig = Rig()
    for _ in range(5):
        rig.now += BEAT_S
        for node in TEN:
            rig.send(node, HOST, skew_s=-7200.0)
        assert rig.judge().findings == {}


def test_a_broken_gpu_s_finding_has_the_words_of_its_newest_xid() -> None:
    rig = Rig()
    facts = {"gpu": [{"id": "GPU-1", "xid": "79 fell off the bus"}]}
    rig.beat({"gpu": [{"xid_hard": 0}]}, facts=facts)
    finding = found(rig.beat({"gpu": [{"xid_hard": 1, "xid_last": 79}]}), "gpu_xid_hard")
    assert finding is not None
    assert finding.text.endswith("the newest: 79 fell off the bus")


def test_a_probe_without_a_device_may_look_as_seldom_as_it_likes() -> None:
    rig = Rig()
    rig.beat({"fpga": []}, state=ProbeState.ABSENT, times=2)
    judged = rig.beat({"fpga": []}, state=ProbeState.ABSENT, rerun=False, times=200)
    assert judged.findings == {}


def test_the_worst_device_decides_and_factors_of_one_device_multiply() -> None:
    rig = Rig()
    judged = rig.beat(
        {"gpu": [{"throttle_thermal": 1}, {"throttle_thermal": 1, "remap_pending": 1}, {}]}, times=3
    )
    assert health(judged, "gpu") == 0.25
    assert len(judged.findings["n1"]) == 3


def test_what_ails_the_node_ails_every_device_in_it() -> None:
    rig = Rig()
    judged = rig.beat({"host": [{"disk_used_ratio": 0.99}], "gpu": [{"throttle_thermal": 1}]}, times=3)
    assert health(judged, "cpu") == 0.5
    assert health(judged, "gpu") == 0.25
    assert health(judged, "fpga") == 0.5


def test_hard_findings_come_first() -> None:
    rig = Rig()
    judged = rig.beat({"host": [{"disk_used_ratio": 0.99}], "gpu": [{"lost": 1}]}, times=3)
    assert [f.rule for f in judged.findings["n1"]] == ["gpu_lost", "disk_full"]


def test_a_finding_keeps_its_first_time_through_a_relapse() -> None:
    rig = Rig()
    first = found(rig.beat({"gpu": [{"remap_pending": 1}]}), "gpu_remap_pending")
    rig.beat({"gpu": [{}]}, times=8)
    again = found(rig.beat({"gpu": [{"remap_pending": 1}]}), "gpu_remap_pending")
    assert first is not None
    assert again is not None
    assert again.since == first.since
    assert found(rig.beat({"gpu": [{}]}, times=11), "gpu_remap_pending") is not None


def test_a_gpu_slowed_for_heat_while_busy_is_as_fast_as_its_clock() -> None:
    rig = Rig()
    hot = {"throttle_thermal": 1, "sm_clock_mhz": 990, "sm_clock_max_mhz": 1980, "utilization_ratio": 1}
    judged = rig.beat({"gpu": [hot, {}]})
    assert speed(judged, "gpu") == 0.75
    assert speed(judged, "cpu") == 1.0
    assert judged.measured.tolist() == [[False, True, False]]
    assert speed(rig.beat({"gpu": [{**hot, "utilization_ratio": 0}, {}]}), "gpu") == 1.0
    assert speed(rig.beat({"gpu": [{"throttle_power_cap": 1, "sm_clock_mhz": 990}, {}]}), "gpu") == 1.0


def test_speed_is_the_mean_of_benchmarks_over_their_baselines() -> None:
    rig = Rig()
    rig.beat({"host": [{}]})
    rig.baselines = {"host": np.full((2, rig.board.probes["host"].size), 100.0)}
    assert speed(rig.beat({"host": [{"mem_gbs": 50, "dgemm_gflops": 100}]}), "cpu") == 0.75
    assert speed(rig.beat({"host": [{"mem_gbs": 50}]}), "cpu") == 0.5
    within_noise = rig.beat({"host": [{"mem_gbs": 97, "dgemm_gflops": 99}]})
    assert speed(within_noise, "cpu") == 1.0
    assert within_noise.measured[0, 0]
    assert not rig.beat({"host": [{}]}).measured.any()


def test_a_node_that_left_takes_its_findings_along_and_leaves_none_to_a_newcomer() -> None:
    rig = Rig()
    rig.beat({"host": [{"read_only_disks": 1}], "gpu": [{"lost": 1}]}, times=4)
    rig.board.forget(["n1"])
    assert rig.judge().findings == {}
    judged = rig.beat({"host": [{}], "gpu": [{}]}, node="n2")
    assert judged.names == ("n2",)
    assert judged.findings == {}
    assert (judged.health == 1.0).all()


def test_bitstreams_are_those_that_the_facts_name() -> None:
    rig = Rig()
    facts = {"fpga": [{"id": "a", "xclbin_uuid": "u-1", "xclbin": "align.xclbin"}, {"id": "b"}]}
    judged = rig.beat({"fpga": [{}, {}]}, facts=facts)
    assert judged.bitstreams == {"n1": (("u-1", "align.xclbin"), ("", ""))}
    rig.board.forget(["n1"])
    assert rig.judge().bitstreams == {}


def test_silence_that_is_only_stored_changes_no_health() -> None:
    rig = Rig(site=replace(HealthSite(), store_only=frozenset({"silent"})))
    _beat_all(rig, TEN)
    judged = _beat_all(rig, TEN[1:], 5)
    finding = found(judged, "silent", "n0")
    assert finding is not None
    assert not finding.counts
    assert (judged.health == 1.0).all()
