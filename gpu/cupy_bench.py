"""One CUDA device through CuPy, as benchmarks need it. Only ever imported in the benchmark's own process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np


class CupyBench:
    """Device 0 of those that CUDA_VISIBLE_DEVICES leaves visible; times are those of CUDA events."""

    def __init__(self) -> None:
        self.xp: Any = importlib.import_module("cupy")
        self._stream = self.xp.cuda.get_current_stream()
        self._start = self.xp.cuda.Event()
        self._stop = self.xp.cuda.Event()

    def free_bytes(self) -> int:
        """What the CUDA runtime says."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return int(free)

    def time_s(self, work: Callable[[], object], times: int) -> float:
        """Between two events in the stream that all the work goes to."""
        self._start.record(self._stream)
        for _ in range(times):
            work()
        self._stop.record(self._stream)
        self._stop.synchronize()
        return float(self.xp.cuda.get_elapsed_time(self._start, self._stop)) / 1e3

    def pinned(self, size: int) -> Any:
        """A view of page-locked memory, which goes back when the array does."""
        return np.frombuffer(self.xp.cuda.alloc_pinned_memory(size), np.uint8, size)

    def to_device(self, there: Any, here: Any) -> None:
        """Asynchronous in the stream."""
        there.set(here, stream=self._stream)

    def to_host(self, here: Any, there: Any) -> None:
        """Asynchronous in the stream."""
        there.get(stream=self._stream, out=here, blocking=False)

    def dtype(self, name: str) -> Any:
        """bfloat16 needs CuPy 14 and ml_dtypes."""
        if name != "bfloat16":
            return self.xp.dtype(name)
        try:
            kind = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
            self.xp.zeros(1, dtype=kind)
        except (ImportError, TypeError, ValueError):
            return None
        return kind

    def release(self) -> None:
        """Both pools; what arrays still hold stays theirs."""
        self.xp.get_default_memory_pool().free_all_blocks()
        self.xp.get_default_pinned_memory_pool().free_all_blocks()
