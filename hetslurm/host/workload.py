"""Runs the triad and the matrix product, prints one line of JSON, and ends.

Only speed.py starts it, as `python -m hetslurm.host.workload JSON`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

from hetslurm.errors import HetslurmError
from hetslurm.native.stream import triad

PR_SET_PDEATHSIG = 1
TRIAD_BYTES = 24  # as STREAM counts: two reads and a write of 8 bytes, the write's own read not counted
MAX_PRODUCTS = 5


def stand_back(parent: int) -> None:
    """Die with the parent, give way to everybody, be the first to go when memory runs short."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the probe has gone")
    os.nice(19)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def triad_gbs(elements: int, threads: int, repeats: int) -> float:
    """Best bandwidth of `repeats` passes, GB/s. ProbeError says why there is none."""
    return TRIAD_BYTES * elements / triad(elements, threads, repeats) / 1e9


def dgemm_gflops(order: int, budget_s: float) -> float:
    """Best rate of a few products of two random matrices by NumPy's BLAS, 2n³ operations each, GFLOP/s."""
    # Here and not at the top, so that it does not stand in memory beside the triad's arrays.
    import numpy as np  # noqa: PLC0415

    random = np.random.default_rng(1)
    left, right = random.random((order, order)), random.random((order, order))
    product = left @ right  # the first one starts the library's threads
    best_s = float("inf")
    end = time.perf_counter() + budget_s
    for _ in range(MAX_PRODUCTS):
        start = time.perf_counter()
        np.matmul(left, right, out=product)
        best_s = min(best_s, time.perf_counter() - start)
        if time.perf_counter() > end:
            break
    expected = float(left[0] @ right[:, 0])
    if abs(float(product[0, 0]) - expected) > 1e-9 * order:
        raise ArithmeticError("a matrix product came out wrong")
    return 2 * order**3 / best_s / 1e9


def main(arguments: list[str]) -> None:
    """Do what the JSON asks for; what fails is a message beside what did not."""
    wanted = json.loads(arguments[0])
    stand_back(int(wanted["parent"]))
    values: dict[str, float] = {}
    failures: list[str] = []
    if wanted["elements"]:
        try:
            values["mem_gbs"] = triad_gbs(wanted["elements"], wanted["threads"], wanted["repeats"])
        except HetslurmError as error:
            failures.append(f"mem_gbs: {error}")
    try:
        values["dgemm_gflops"] = dgemm_gflops(wanted["order"], wanted["dgemm_s"])
    except (ArithmeticError, ImportError, MemoryError) as error:
        failures.append(f"dgemm_gflops: {error}")
    print(json.dumps({"values": values, "message": "; ".join(failures)}))


if __name__ == "__main__":
    main(sys.argv[1:])
