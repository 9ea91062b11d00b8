"""Benchmarks of one idle device, over an array module `xp` (CuPy's surface, which NumPy shares).

Every rate is the best of a few rounds, each round the median of a few timed batches: the median shrugs off a
batch that something disturbed, the best round is what the device can do. Matrices are random, since zeros and
constants draw less power and run faster than work does. Memory and time are bounded from the start.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

GB = 1e9
MIB = 1 << 20
MEMORY_SHARE = 0.25  # of what is free
COPY_BYTES = 1 << 30  # far over any cache
LINK_BYTES = 256 * MIB
LEAST_BYTES = 1 * MIB  # below, a rate says more of the launch than of the device
BATCH_S = 0.02  # a batch repeats its work until it takes about so long
ROUNDS = 3
BATCHES = 5
# Edges of the square matrices. Few and far apart, so that a device is measured with the same one each time.
EDGES = (256, 512, 1024, 2048, 4096, 8192)
# Metric, and the dtype by its name.
GEMMS = (
    ("gemm_fp64_tflops", "float64"),
    ("gemm_fp32_tflops", "float32"),
    ("gemm_fp16_tflops", "float16"),
    ("gemm_bf16_tflops", "bfloat16"),
)


class Bench(Protocol):
    """What a benchmark needs of a device besides arrays."""

    xp: Any

    def free_bytes(self) -> int:
        """Device memory that is free now."""
        ...

    def time_s(self, work: Callable[[], object], times: int) -> float:
        """Seconds that the device takes for `work` done so many times."""
        ...

    def pinned(self, size: int) -> Any:
        """Host memory of so many bytes that the device reaches by itself: a uint8 array."""
        ...

    def to_device(self, there: Any, here: Any) -> None:
        """Start a copy of pinned memory into a device array of the same size."""
        ...

    def to_host(self, here: Any, there: Any) -> None:
        """Start a copy of a device array into pinned memory of the same size."""
        ...

    def dtype(self, name: str) -> Any:
        """A dtype that arrays can have and `xp.dot` can take, or None."""
        ...

    def release(self) -> None:
        """Give all memory back to the device."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a benchmark may take: seconds in all, warming up not counted, and the largest buffers.

    Buffers are smaller where memory is. `edges` rise.
    """

    seconds: float = 4.0
    copy_bytes: int = COPY_BYTES
    link_bytes: int = LINK_BYTES
    edges: tuple[int, ...] = EDGES
    batch_s: float = BATCH_S


@dataclass(slots=True)
class Found:
    """RATE metrics of hetslurm.telemetry by name, and for what could not be measured, why."""

    rates: dict[str, float] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)


def measure_rates(bench: Bench, plan: Plan, now: Callable[[], float]) -> Found:
    """All rates of one device. What fails (out of memory, no such type) is told, and the rest goes on.

    `now` is a clock in seconds. Each benchmark has the same share of the plan's time, from when it is warm,
    and ends a batch after it at the latest.
    """
    found = Found()
    budget = int(bench.free_bytes() * MEMORY_SHARE)
    watch = _Watch(now, plan.seconds / (2 + len(GEMMS)))

    def attempt(name: str, one: Callable[[], dict[str, float]]) -> None:
        try:
            found.rates.update(one())
        except Exception as error:
            # A benchmark is foreign code on a device that may be broken: whatever it raises is a finding.
            found.troubles[name] = f"{type(error).__name__}: {error}"
        finally:
            with contextlib.suppress(Exception):
                bench.release()

    attempt("copy", lambda: copy_rate(bench, min(budget // 2, plan.copy_bytes), plan, watch))
    attempt("link", lambda: link_rates(bench, min(budget, plan.link_bytes), plan, watch))
    for metric, name in GEMMS:
        attempt(metric, lambda m=metric, n=name: {m: gemm_tflops(bench, n, budget, plan, watch)})  # type: ignore[misc]
    return found


@dataclass(frozen=True, slots=True)
class _Watch:
    now: Callable[[], float]
    seconds: float

    def end(self) -> float:
        """When a benchmark is over that starts now."""
        return self.now() + self.seconds


def copy_rate(bench: Bench, size: int, plan: Plan, watch: _Watch) -> dict[str, float]:
    """Device memory bandwidth: bytes read and bytes written of a copy, as STREAM counts them."""
    count = _enough(size) // 4
    source = bench.xp.random.default_rng(1).standard_normal(count, dtype=bench.xp.float32)
    target = bench.xp.empty_like(source)
    seconds = _best_s(bench, lambda: bench.xp.copyto(target, source), plan, watch)
    return {"copy_gbs": 2 * 4 * count / seconds / GB}


def link_rates(bench: Bench, size: int, plan: Plan, watch: _Watch) -> dict[str, float]:
    """Both directions between pinned host memory and the device."""
    here = bench.pinned(_enough(size))
    here[:] = 85  # so that the pages are there
    there = bench.xp.empty(here.size, dtype=bench.xp.uint8)
    half = _Watch(watch.now, watch.seconds / 2)
    down = _best_s(bench, lambda: bench.to_device(there, here), plan, half)
    up = _best_s(bench, lambda: bench.to_host(here, there), plan, half)
    return {"h2d_gbs": here.size / down / GB, "d2h_gbs": here.size / up / GB}


def gemm_tflops(bench: Bench, name: str, budget: int, plan: Plan, watch: _Watch) -> float:
    """2·n³ operations of a product of square matrices of normal random numbers, scaled not to overflow.

    The largest edge that fits in `budget` bytes and whose batches fit in the time, as the next smaller one
    showed: large products run no slower an operation than small ones.
    """
    dtype = bench.dtype(name)
    if dtype is None:
        raise TypeError(f"{name} is not supported by this array library")
    fitting = [edge for edge in plan.edges if peak_bytes(edge, _itemsize(name)) <= budget]
    if not fitting:
        raise MemoryError(f"{budget // MIB} MiB are too little for a matrix product")
    for edge, larger in itertools.zip_longest(fitting, fitting[1:]):
        work = _product(bench, edge, dtype)
        bench.time_s(work, 1)  # loads libraries, compiles, picks an algorithm
        once = bench.time_s(work, 1)
        if larger is None or once * (larger / edge) ** 3 * ROUNDS * BATCHES > watch.seconds:
            break
        bench.release()
    return 2 * edge**3 / _best_s(bench, work, plan, watch) / 1e12


def peak_bytes(edge: int, itemsize: int) -> int:
    """Bytes of three matrices, and of the random numbers of one before they are cast.

    The three of the next smaller edge, which still live then, fit in what the last of them leaves.
    """
    return edge * edge * (3 * itemsize + max(itemsize, 4))


def _product(bench: Bench, edge: int, dtype: Any) -> Callable[[], object]:
    xp = bench.xp
    draws = xp.float64 if dtype == xp.float64 else xp.float32
    generator = xp.random.default_rng(2)

    def random_matrix() -> Any:
        # Entries of the product then have variance 1, which also 16 bits hold.
        matrix = generator.standard_normal((edge, edge), dtype=draws)
        matrix *= edge**-0.25
        return matrix.astype(dtype, copy=False)

    left, right = random_matrix(), random_matrix()
    product = xp.empty((edge, edge), dtype=dtype)
    # dot, not matmul: CuPy 14's matmul computes 16-bit types in fp32 where it takes its batched path.
    return lambda: xp.dot(left, right, out=product)


def _best_s(bench: Bench, work: Callable[[], object], plan: Plan, watch: _Watch) -> float:
    """Seconds of one `work`: best round of medians, of one batch at least."""
    bench.time_s(work, 1)
    once = bench.time_s(work, 1)
    times = max(1, min(1000, int(plan.batch_s / max(once, 1e-6))))
    end = watch.end()
    best = float("inf")
    for _ in range(ROUNDS):
        batches: list[float] = []
        while len(batches) < BATCHES and (watch.now() < end or not batches):
            batches.append(bench.time_s(work, times) / times)
        best = min(best, statistics.median(batches))
        if watch.now() >= end:
            break
    if not best > 0:
        raise ArithmeticError("the device's clock did not move")
    return best


def _enough(size: int) -> int:
    if size < LEAST_BYTES:
        raise MemoryError(f"{size} bytes are too little to measure with")
    return size


def _itemsize(name: str) -> int:
    return {"float64": 8, "float32": 4}.get(name, 2)
