"""The benchmarks, over NumPy in the place of CuPy: rates, limits of memory and time, and what goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from hetslurm.gpu.launch import parse_rates
from hetslurm.gpu.measure import render
from hetslurm.gpu.rates import GEMMS, MIB, Bench, Found, Plan, measure_rates, peak_bytes

SMALL = Plan(seconds=0.3, copy_bytes=4 * MIB, link_bytes=2 * MIB, edges=(32, 64, 128), batch_s=1e-3)


class Host:
    """NumPy as a device: host memory is pinned and device memory, and the host's clock is the device's."""

    def __init__(self, free: int = 512 * MIB) -> None:
        self.xp: Any = np
        self.free = free
        self.releases = 0

    def free_bytes(self) -> int:
        return self.free

    def time_s(self, work: Callable[[], object], times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            work()
        return time.perf_counter() - start

    def pinned(self, size: int) -> Any:
        return np.empty(size, np.uint8)

    def to_device(self, there: Any, here: Any) -> None:
        np.copyto(there, here)

    def to_host(self, here: Any, there: Any) -> None:
        np.copyto(here, there)

    def dtype(self, name: str) -> Any:
        return None if name == "bfloat16" else np.dtype(name)

    def release(self) -> None:
        self.releases += 1


class Simulated(Host):
    """A device of known speed: work takes what its bytes and operations say, and the clock moves by that.

    `used` is the most memory that arrays took, as an allocator would count it.
    """

    def __init__(self, free: int, flops: float, bytes_per_s: float) -> None:
        super().__init__(free)
        self.xp = self
        self.flops = flops
        self.bytes_per_s = bytes_per_s
        self.clock = 0.0
        self.used = 0
        self.live = 0
        self.edges: list[int] = []
        self.random = self
        self.float64, self.float32, self.uint8 = np.dtype("f8"), np.dtype("f4"), np.dtype("u1")

    def now(self) -> float:
        return self.clock

    def time_s(self, work: Callable[[], object], times: int) -> float:
        start = self.clock
        for _ in range(times):
            work()
        return self.clock - start

    def default_rng(self, seed: int) -> Simulated:
        return self

    def standard_normal(self, shape: Any, dtype: Any) -> Block:
        return Block(self, shape, dtype)

    def empty(self, shape: Any, dtype: Any) -> Block:
        return Block(self, shape, dtype)

    def empty_like(self, other: Block) -> Block:
        return Block(self, other.shape, other.dtype)

    def copyto(self, target: Block, source: Block) -> None:
        self.clock += 2 * source.nbytes / self.bytes_per_s

    def dot(self, left: Block, right: Block, out: Block) -> None:
        self.edges.append(left.shape[0])
        self.clock += 2 * left.shape[0] ** 3 / self.flops

    def to_device(self, there: Any, here: Any) -> None:
        self.clock += here.size / 25e9

    def to_host(self, here: Any, there: Any) -> None:
        self.clock += here.size / 20e9


class Block:
    """An array without contents, that counts the memory it takes while it lives."""

    def __init__(self, owner: Simulated, shape: Any, dtype: Any) -> None:
        self.owner = owner
        self.shape = shape if isinstance(shape, tuple) else (shape,)
        self.dtype = np.dtype(dtype)
        self.size = int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize
        owner.live += self.nbytes
        owner.used = max(owner.used, owner.live)

    def __imul__(self, factor: float) -> Block:
        return self

    def astype(self, dtype: Any, copy: bool) -> Block:
        return self if dtype == self.dtype else Block(self.owner, self.shape, dtype)

    def __del__(self) -> None:
        self.owner.live -= self.nbytes


GIB = 1 << 30


def test_every_rate_that_the_library_can_do_is_measured() -> None:
    found = measure_rates(Host(), SMALL, time.monotonic)
    expected = {"copy_gbs", "h2d_gbs", "d2h_gbs", "gemm_fp64_tflops", "gemm_fp32_tflops", "gemm_fp16_tflops"}
    assert set(found.rates) == expected
    assert all(rate > 0 for rate in found.rates.values())
    assert found.troubles == {
        "gemm_bf16_tflops": "TypeError: bfloat16 is not supported by this array library"
    }


def test_rates_are_those_of_the_device() -> None:
    device = Simulated(free=80 * GIB, flops=60e12, bytes_per_s=4e12)
    rates = measure_rates(device, Plan(), device.now).rates
    assert rates["copy_gbs"] == pytest.approx(4000)
    assert rates["h2d_gbs"] == pytest.approx(25)
    assert rates["d2h_gbs"] == pytest.approx(20)
    assert rates["gemm_fp64_tflops"] == pytest.approx(60)
    assert device.edges[-1] == 8192


@pytest.mark.parametrize("free", [64 * MIB, 1 * GIB, 8 * GIB, 140 * GIB])
def test_a_quarter_of_the_free_memory_is_the_most_that_is_taken_and_all_is_given_back(free: int) -> None:
    device = Simulated(free=free, flops=60e12, bytes_per_s=4e12)
    measure_rates(device, Plan(), device.now)
    assert 0 < device.used <= free / 4
    assert device.live == 0
    assert device.releases >= 2 + len(GEMMS)


@pytest.mark.parametrize("flops", [1e15, 60e12, 1e12, 0.2e12])
def test_a_device_of_any_speed_is_measured_in_bounded_time(flops: float) -> None:
    device = Simulated(free=16 * GIB, flops=flops, bytes_per_s=3e11)
    found = measure_rates(device, Plan(seconds=4.0), device.now)
    assert found.rates["gemm_fp64_tflops"] == pytest.approx(flops / 1e12)
    assert device.clock < 2 * 4.0


def test_a_healthy_device_is_measured_with_the_same_edge_each_time() -> None:
    edges = set()
    for wobble in (0.8, 1.0, 1.2):
        device = Simulated(free=80 * GIB, flops=60e12 * wobble, bytes_per_s=3e12)
        measure_rates(device, Plan(), device.now)
        edges.add(device.edges[-1])
    assert edges == {8192}


def test_too_little_memory_is_said_and_nothing_is_made_up() -> None:
    found = measure_rates(Host(free=2 * MIB), Plan(seconds=0.1), time.monotonic)
    assert found.rates == {}
    assert all("too little" in why or "not supported" in why for why in found.troubles.values())


def test_what_fails_is_told_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED")

    monkeypatch.setattr(np, "dot", broken)
    found = measure_rates(Host(), SMALL, time.monotonic)
    assert set(found.rates) == {"copy_gbs", "h2d_gbs", "d2h_gbs"}
    assert found.troubles["gemm_fp32_tflops"] == "RuntimeError: CUBLAS_STATUS_EXECUTION_FAILED"


def test_a_clock_that_stands_still_gives_no_rate() -> None:
    class Frozen(Host):
        def time_s(self, work: Callable[[], object], times: int) -> float:
            return 0.0

    ticks: Iterator[int] = iter(range(10**9))
    found = measure_rates(Frozen(), SMALL, lambda: next(ticks) * 1e-3)
    assert found.rates == {}
    assert found.troubles["copy"] == "ArithmeticError: the device's clock did not move"


def test_one_batch_that_was_disturbed_does_not_show() -> None:
    class Disturbed(Simulated):
        calls = 0

        def time_s(self, work: Callable[[], object], times: int) -> float:
            self.calls += 1
            seconds = super().time_s(work, times)
            return seconds * (9 if self.calls % 4 == 0 else 1)

    device = Disturbed(free=80 * GIB, flops=60e12, bytes_per_s=4e12)
    assert measure_rates(device, Plan(), device.now).rates["copy_gbs"] == pytest.approx(4000)


def test_matrices_are_random_and_their_product_fits_in_sixteen_bits() -> None:
    seen: list[Any] = []

    class Watching(Host):
        def time_s(self, work: Callable[[], object], times: int) -> float:
            seconds = super().time_s(work, times)
            cells = dict(zip(work.__code__.co_freevars, work.__closure__ or (), strict=True))  # type: ignore[attr-defined]
            if "product" in cells:
                seen.append([cells[name].cell_contents for name in ("left", "right", "product")])
            return seconds

    measure_rates(Watching(), SMALL, time.monotonic)
    halves = [matrices for matrices in seen if matrices[0].dtype == np.float16]
    assert halves
    for left, right, product in halves:
        assert len(np.unique(left)) > left.size / 8
        assert not np.array_equal(left, right)
        assert np.isfinite(product).all()
        assert 0.5 < float(np.std(product.astype(np.float64))) < 2


def test_the_memory_of_a_product_counts_the_numbers_before_their_cast() -> None:
    assert peak_bytes(1000, 2) == 1_000_000 * (3 * 2 + 4)
    assert peak_bytes(1000, 8) == 1_000_000 * 4 * 8


def test_numpy_and_the_simulation_are_benches() -> None:
    benches: list[Bench] = [Host(), Simulated(GIB, 1.0, 1.0)]
    assert len(benches) == 2


def test_what_is_printed_is_what_is_read() -> None:
    found = Found({"copy_gbs": 1500.5}, {"gemm_bf16_tflops": "TypeError: no", "link": "x"})
    rates = parse_rates(render(found))
    assert rates.values == {"copy_gbs": 1500.5}
    assert rates.message == "gemm_bf16_tflops: TypeError: no; link: x"
    assert json.loads(render(Found())) == {"rates": {}, "message": ""}
