"""The NVML edge: a number that fails takes no other with it, and nothing unknown is 0."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from hetslurm.gpu.nvml import Nvml
from hetslurm.gpu.pci import gpus_on_bus
from hetslurm.gpu.sample import row_of
from hetslurm.telemetry import GPU, Meaning, ProbeState, Row

STATE = {metric.name for metric in GPU if metric.meaning is not Meaning.RATE} - {"measured_age_s"}
SYSTEM = {
    "nvmlInit",
    "nvmlShutdown",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlEventSetCreate",
    "nvmlEventSetFree",
    "nvmlEventSetWait",
}


def rows(devices: Nvml) -> list[Row]:
    look = devices.look()
    assert look.state is ProbeState.OK, look.message
    return [row_of(reading) for reading in look.readings]


def test_every_number_of_state_is_known_where_nvml_answers(nvml: Any) -> None:
    nvml.events = [(0x1000, 79)]
    first, second = rows(nvml.open())
    assert set(first.values) == STATE
    assert set(second.values) == STATE - {"xid_last"}
    assert first.facts == {
        "id": "GPU-1000",
        "name": "NVIDIA A100-SXM4-80GB",
        "driver": "550.54.15",
        "cuda": "12.4",
        "pci": "00000000:00:00.0",
        "xid": "79 GPU has fallen off the bus",
    }


def test_numbers_come_in_the_units_of_their_metrics(nvml: Any) -> None:
    values = rows(nvml.open())[1].values
    assert values["power_w"] == pytest.approx(61.5)
    assert values["utilization_ratio"] == pytest.approx(0.03)
    assert values["mem_total_mb"] == 81_920
    assert values["mem_used_mb"] == 4
    assert values["processes"] == 2  # a process that computes and draws is one
    assert (values["ecc_corrected"], values["ecc_uncorrected"]) == (5, 1)
    assert (values["remapped_uncorrected"], values["remap_pending"], values["remap_failed"]) == (2, 1, 0)
    assert (values["pcie_gen"], values["pcie_gen_max"]) == (1, 4)  # idle: told as it is
    assert (values["nvlinks"], values["nvlinks_up"]) == (4, 4)
    assert values["nvlink_errors"] == 4 * 4


def test_every_function_that_is_asked_is_one_of_the_binding(nvml: Any) -> None:
    devices = nvml.open()
    devices.look()
    nvml.answers = {
        name: nvml.answers[name] for name in SYSTEM & set(nvml.answers)
    }  # now all ways out are asked
    devices.look()
    devices.close()
    missing = {name for name in nvml.asked if not callable(getattr(pynvml, name, None))}
    assert not missing


def test_a_device_that_answers_nothing_is_unknown_and_nothing_of_it_is_zero(nvml: Any) -> None:
    nvml.answers = {name: nvml.answers[name] for name in SYSTEM & set(nvml.answers)}
    for row in rows(nvml.open()):
        assert row.values == {}
        assert row.facts == {}


DEVICE_CALLS = sorted(
    set(__import__("pynvml").__dict__)
    & {
        "nvmlSystemGetDriverVersion",
        "nvmlSystemGetCudaDriverVersion_v2",
        "nvmlDeviceRegisterEvents",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetName",
        "nvmlDeviceGetPciInfo",
        "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetTemperatureThreshold",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetClockInfo",
        "nvmlDeviceGetMaxClockInfo",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetTotalEccErrors",
        "nvmlDeviceGetRemappedRows",
        "nvmlDeviceGetCurrPcieLinkGeneration",
        "nvmlDeviceGetMaxPcieLinkGeneration",
        "nvmlDeviceGetCurrPcieLinkWidth",
        "nvmlDeviceGetMaxPcieLinkWidth",
        "nvmlDeviceGetPcieReplayCounter",
        "nvmlDeviceGetNvLinkState",
        "nvmlDeviceGetNvLinkErrorCounter",
        "nvmlDeviceGetMigMode",
    }
)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_UNKNOWN])
@pytest.mark.parametrize("function", DEVICE_CALLS)
def test_one_call_that_fails_costs_its_numbers_and_no_others(nvml: Any, function: str, code: int) -> None:
    nvml.events = [(0x1000, 31)]
    whole = rows(nvml.open())[0]
    nvml.events = [(0x1000, 31)]
    nvml.codes[function] = code
    partial = rows(nvml.open())[0]
    lost = {name for name in whole.values if name not in partial.values} | set(whole.facts) - set(
        partial.facts
    )
    assert 1 <= len(lost) <= 4 or (function == "nvmlDeviceGetUUID" and not lost)
    assert {name: whole.values[name] for name in partial.values} == dict(partial.values)
    assert partial.values["lost"] == 0


@pytest.mark.parametrize(
    "code",
    [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_UNKNOWN],
)
def test_a_lost_device_is_lost_and_the_others_are_well(nvml: Any, code: int) -> None:
    devices = nvml.open()
    rows(devices)
    nvml.lost[0x1000] = code
    first, second = rows(devices)
    assert first.values["lost"] == 1
    assert first.facts["id"] == "GPU-1000"
    assert "temperature_c" not in first.values
    assert set(second.values) == STATE - {"xid_last"}


def test_a_device_that_may_not_be_asked_is_not_called_lost(nvml: Any) -> None:
    nvml.lost[0x1000] = pynvml.NVML_ERROR_NO_PERMISSION
    assert "lost" not in rows(nvml.open())[0].values


def test_a_device_without_a_handle_is_a_row_that_is_lost(nvml: Any) -> None:
    def handle(index: int) -> int:
        if index == 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return 0x1000 + index

    nvml.answers["nvmlDeviceGetHandleByIndex"] = handle
    found = rows(nvml.open())
    assert [row.values["lost"] for row in found] == [0, 1]


def test_xids_add_up_by_device_and_severity(nvml: Any) -> None:
    devices = nvml.open()
    nvml.events = [(0x1000, 13), (0x1001, 48), (0x1000, 31)]
    rows(devices)
    nvml.events = [(0x1000, 79), (0x9999, 62)]
    first, second = rows(devices)
    assert (first.values["xid_hard"], first.values["xid_soft"], first.values["xid_last"]) == (1, 2, 79)
    assert (second.values["xid_hard"], second.values["xid_soft"], second.values["xid_last"]) == (1, 0, 48)


def test_a_flood_of_xids_does_not_hold_up_a_look(nvml: Any) -> None:
    nvml.events = [(0x1000, 31)] * 5000
    devices = nvml.open()
    assert rows(devices)[0].values["xid_soft"] < 5000
    for _ in range(5):
        last = rows(devices)[0]
    assert last.values["xid_soft"] == 5000


@pytest.mark.parametrize("function", ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents"])
def test_xids_that_nobody_tells_are_unknown(nvml: Any, function: str) -> None:
    nvml.codes[function] = pynvml.NVML_ERROR_NOT_SUPPORTED
    values = rows(nvml.open())[0].values
    assert not {"xid_hard", "xid_soft", "xid_last"} & set(values)
    assert values["temperature_c"] == 41


def test_a_driver_that_goes_away_fails_the_look_and_is_found_when_it_is_back(nvml: Any) -> None:
    devices = nvml.open()
    nvml.events = [(0x1000, 79)]
    rows(devices)
    nvml.lost = {0x1000: pynvml.NVML_ERROR_UNINITIALIZED, 0x1001: pynvml.NVML_ERROR_UNINITIALIZED}
    nvml.codes["nvmlInit"] = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    assert devices.look().state is ProbeState.FAILED
    again = devices.look()
    assert again.state is ProbeState.FAILED
    assert again.message == "the NVIDIA driver went away: the driver is not loaded"
    nvml.lost, nvml.codes = {}, {}
    first, _ = rows(devices)
    assert first.values["xid_hard"] == 1  # what was counted stays


def test_a_device_that_is_gone_when_the_driver_is_back_stays_as_lost(nvml: Any) -> None:
    devices = nvml.open()
    rows(devices)
    devices.close()
    nvml.answers["nvmlDeviceGetCount"] = lambda: 1
    nvml.answers["nvmlDeviceGetHandleByIndex"] = lambda index: 0x1001
    first, second = rows(devices)
    assert (first.facts["id"], first.values["lost"]) == ("GPU-1000", 1)
    assert (second.facts["id"], second.values["lost"]) == ("GPU-1001", 0)


def test_a_machine_without_nvml_has_no_gpu(nvml: Any) -> None:
    nvml.codes["nvmlInit"] = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    look = nvml.open().look()
    assert look.state is ProbeState.ABSENT
    assert look.message == "no NVIDIA GPU: NVML (libnvidia-ml.so.1) is not installed"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "NVML (libnvidia-ml.so.1) is not installed"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "the driver is not loaded"),
    ],
)
def test_a_gpu_on_the_bus_without_its_driver_is_a_failure(nvml: Any, code: int, why: str) -> None:
    nvml.codes["nvmlInit"] = code
    look = nvml.open(on_bus=("0000:17:00.0", "0000:65:00.0")).look()
    assert look.state is ProbeState.FAILED
    assert look.message == f"2 NVIDIA GPUs on the bus (0000:17:00.0, 0000:65:00.0), but {why}"


def test_a_driver_that_lists_no_device_means_no_gpu(nvml: Any) -> None:
    nvml.answers["nvmlDeviceGetCount"] = lambda: 0
    devices = nvml.open()
    assert devices.look().message == "no NVIDIA GPU: the driver lists none"
    nvml.answers["nvmlDeviceGetCount"] = lambda: 2
    assert len(rows(devices)) == 2


def test_a_driver_of_another_version_is_a_failure_that_says_what_to_do(nvml: Any) -> None:
    nvml.codes["nvmlInit"] = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    look = nvml.open().look()
    assert look.state is ProbeState.FAILED
    assert "the driver was updated: load its new module, or reboot" in look.message


def test_a_process_that_holds_the_old_library_ends_when_the_driver_is_a_new_one(nvml: Any) -> None:
    devices = nvml.open()
    rows(devices)
    nvml.lost = {0x1000: pynvml.NVML_ERROR_UNINITIALIZED, 0x1001: pynvml.NVML_ERROR_UNINITIALIZED}
    nvml.codes["nvmlInit"] = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    assert devices.look().state is ProbeState.FAILED
    with pytest.raises(SystemExit):
        devices.look()


def test_a_gpu_on_the_bus_that_the_driver_does_not_list_is_told(nvml: Any) -> None:
    look = nvml.open(on_bus=("0000:00:00.0", "0000:01:00.0", "0000:ca:00.0")).look()
    assert look.state is ProbeState.OK
    assert look.message == "on the bus, but not listed by the driver: 0000:ca:00.0"


def test_the_real_binding_says_what_this_machine_has() -> None:
    devices = Nvml()
    look = devices.look()
    devices.close()
    if gpus_on_bus():
        assert look.state in (ProbeState.OK, ProbeState.FAILED)
    else:
        assert look.state is ProbeState.ABSENT
        assert look.message.startswith("no NVIDIA GPU: ")
        assert look.readings == ()


def test_mig_instances_are_counted_and_named(nvml: Any) -> None:
    nvml.answers["nvmlDeviceGetMigMode"] = lambda handle: [1, 1]
    nvml.answers["nvmlDeviceGetMaxMigDeviceCount"] = lambda handle: 7

    def instance(handle: int, index: int) -> int:
        if index > 2:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return 0x2000 + index

    names = {0x2000: "MIG 3g.40gb", 0x2001: "MIG 1g.10gb", 0x2002: "MIG 1g.10gb"}
    nvml.answers["nvmlDeviceGetMigDeviceHandleByIndex"] = instance
    nvml.answers["nvmlDeviceGetName"] = lambda handle: (
        "NVIDIA A100-SXM4-80GB" + (f" {names[handle]}" if handle in names else "")
    )
    row = rows(nvml.open())[0]
    assert (row.values["mig"], row.values["mig_instances"]) == (1, 3)
    assert row.facts["mig"] == "2x1g.10gb,1x3g.40gb"
    assert row.facts["name"] == "NVIDIA A100-SXM4-80GB"


def test_pages_stand_in_for_rows_where_a_device_retires_pages(nvml: Any) -> None:
    del nvml.answers["nvmlDeviceGetRemappedRows"]
    nvml.answers["nvmlDeviceGetRetiredPages"] = lambda handle, cause: [0xBEEF]
    nvml.answers["nvmlDeviceGetRetiredPagesPendingStatus"] = lambda handle: 1
    values = rows(nvml.open())[0].values
    assert (values["remapped_uncorrected"], values["remap_pending"]) == (1, 1)
    assert "remap_failed" not in values


def test_the_margin_gives_the_slowdown_temperature_where_no_threshold_does(nvml: Any) -> None:
    del nvml.answers["nvmlDeviceGetTemperatureThreshold"]
    nvml.answers["nvmlDeviceGetMarginTemperature"] = lambda handle: 46
    assert rows(nvml.open())[0].values["temperature_slowdown_c"] == 41 + 46


def test_older_drivers_are_asked_by_the_older_names(nvml: Any) -> None:
    answers = nvml.answers
    answers["nvmlDeviceGetTemperature"] = answers.pop("nvmlDeviceGetTemperatureV")
    answers["nvmlDeviceGetCurrentClocksThrottleReasons"] = answers.pop(
        "nvmlDeviceGetCurrentClocksEventReasons"
    )
    answers["nvmlDeviceGetComputeRunningProcesses_v2"] = answers.pop(
        "nvmlDeviceGetComputeRunningProcesses_v3"
    )
    answers["nvmlDeviceGetMemoryInfo"] = _memory_without_versions
    assert set(rows(nvml.open())[0].values) == STATE - {"xid_last"}


def _memory_without_versions(handle: int, version: int | None = None) -> SimpleNamespace:
    if version is not None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    return SimpleNamespace(used=1 << 30, total=1 << 34)


def test_a_link_that_goes_down_is_seen(nvml: Any) -> None:
    devices = nvml.open()
    rows(devices)
    nvml.answers["nvmlDeviceGetNvLinkState"] = lambda handle, link: int(link != 2)
    values = rows(devices)[0].values
    assert (values["nvlinks"], values["nvlinks_up"]) == (4, 3)


def test_links_that_were_never_up_are_unknown(nvml: Any) -> None:
    def state(handle: int, link: int) -> int:
        if link >= 4:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return 0

    nvml.answers["nvmlDeviceGetNvLinkState"] = state
    assert not {"nvlinks", "nvlinks_up"} & set(rows(nvml.open())[0].values)


def test_link_counters_are_read_in_turns_and_none_is_left_out(nvml: Any) -> None:
    counts = dict.fromkeys(range(18), 0)
    nvml.answers["nvmlDeviceGetNvLinkState"] = _eighteen_links
    nvml.answers["nvmlDeviceGetNvLinkErrorCounter"] = lambda handle, link, counter: counts[link]
    nvml.answers["nvmlDeviceGetCount"] = lambda: 1
    devices = nvml.open()
    assert rows(devices)[0].values["nvlink_errors"] == 0
    counts.update(dict.fromkeys(counts, 1))
    nvml.asked.clear()
    rows(devices)
    assert nvml.asked.count("nvmlDeviceGetNvLinkErrorCounter") == 18 / 6 * 4
    for _ in range(5):
        last = rows(devices)[0]
    assert last.values["nvlink_errors"] == 18 * 4


def _eighteen_links(handle: int, link: int) -> int:
    if link >= 18:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
    return 1


def test_a_look_costs_less_than_a_millisecond_of_cpu_for_each_device(nvml: Any) -> None:
    nvml.answers["nvmlDeviceGetNvLinkState"] = _eighteen_links
    devices = nvml.open()
    rows(devices)
    costs = []
    for _ in range(60):
        start = time.thread_time()
        rows(devices)
        costs.append(time.thread_time() - start)
    assert min(costs) / 2 < 1e-3
