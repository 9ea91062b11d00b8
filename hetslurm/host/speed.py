"""How fast an idle node moves memory and multiplies matrices, measured in a process of its own.

The process has the lowest priority, is the first that the kernel kills when memory runs short, and takes
NumPy and the arrays with it when it ends.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

from hetslurm.host.caches import last_level_bytes
from hetslurm.host.idle import IDLE_LOAD_PER_CPU, why_not_idle
from hetslurm.host.memory import read_memory

# STREAM's own rule: arrays four times the caches, which then hold next to nothing of them (McCalpin, 1995).
ARRAYS_PER_CACHE = 4
TRIAD_ARRAYS = 3
# Where no cache says its size, arrays that are larger than nearly all.
UNKNOWN_CACHE_BYTES = 256 << 20
MEMORY_SHARE = 0.2
FLOAT64_BYTES = 8
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SpeedPlan:
    """What to run. `elements` and `order` 0: the machine's size decides. Times are seconds."""

    threads: int = 0
    elements: int = 0
    repeats: int = 10
    order: int = 0
    dgemm_s: float = 1.5
    deadline_s: float = 60.0
    idle_load_per_cpu: float = IDLE_LOAD_PER_CPU


def choose_elements(cache_bytes: int, available_bytes: float) -> int:
    """float64 in each of the triad's arrays; 0 where they would be more of the memory than is proper."""
    elements = ARRAYS_PER_CACHE * (cache_bytes or UNKNOWN_CACHE_BYTES) // FLOAT64_BYTES
    fits = TRIAD_ARRAYS * elements * FLOAT64_BYTES <= MEMORY_SHARE * available_bytes
    return elements if fits else 0


def choose_order(threads: int, available_bytes: float) -> int:
    """Order of the matrices: the same on the same machine, about 0.2 s of work, halved while too large."""
    order = 2048 if threads <= 4 else 4096 if threads <= 32 else 8192
    while order > 256 and not 3 * order * order * FLOAT64_BYTES <= MEMORY_SHARE * available_bytes:
        order //= 2
    return order


def measure_speed(base: str, plan: SpeedPlan | None = None) -> tuple[dict[str, float], str]:
    """mem_gbs and dgemm_gflops, and why either is missing. Nothing counts if a job started meanwhile."""
    plan = plan or SpeedPlan()
    if busy := why_not_idle(base, plan.idle_load_per_cpu):
        return {}, busy
    available = read_memory(base).get("mem_available_mb", 0.0) * MIB
    threads = plan.threads or len(os.sched_getaffinity(0))
    elements = plan.elements or choose_elements(last_level_bytes(base), available)
    order = plan.order or choose_order(threads, available)
    values, message = _run_workload(threads, elements, order, plan)
    # Its own load is not held against it: only a job that started meanwhile is.
    if busy := why_not_idle(base, float("inf")):
        return {}, busy
    if not elements and not message:
        message = "mem_gbs: too little memory is free for arrays that no cache holds"
    return values, message


def _run_workload(threads: int, elements: int, order: int, plan: SpeedPlan) -> tuple[dict[str, float], str]:
    # Not at the top: sampling never needs it, and it is not small.
    import subprocess  # noqa: PLC0415

    wanted = {
        "parent": os.getpid(),
        "threads": threads,
        "elements": elements,
        "repeats": plan.repeats,
        "order": order,
        "dgemm_s": plan.dgemm_s,
    }
    libraries = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "hetslurm.host.workload", json.dumps(wanted)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=plan.deadline_s,
            env={**os.environ, **dict.fromkeys(libraries, str(threads))},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"the measurement took more than {plan.deadline_s:.0f} s"
    except OSError as error:
        return {}, f"the measurement did not start: {error}"
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        return {}, f"the measurement ended with {done.returncode}: {words[-1] if words else 'no message'}"
    return read_result(done.stdout)


def read_result(text: str) -> tuple[dict[str, float], str]:
    """The workload's one line of JSON as values and message; a message alone when it is none."""
    try:
        result = json.loads(text)
        values = {str(name): float(value) for name, value in result["values"].items()}
        return values, str(result["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, "the measurement answered what cannot be read"
