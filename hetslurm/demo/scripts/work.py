"""The demo's workload: multiply matrices until the work is done.

On a CPU node it does all of it. The demo's GPUs and FPGAs are pretended, so there it does the share
that such a device would leave of the CPU's time, and says so.
"""

import os
import sys
import time

import numpy as np

SHARE = {"cpu": 1.0, "fpga": 0.75, "gpu": 0.5}
SIZE = 192


def multiply(count: int) -> tuple[float, float]:
    """So many products, one after the other; the seconds they took and the last one's trace."""
    matrix = np.random.default_rng(7).random((SIZE, SIZE)) / SIZE
    product = np.eye(SIZE)
    started = time.perf_counter()
    for _ in range(count):
        product = product @ matrix + np.eye(SIZE)
    return time.perf_counter() - started, float(np.trace(product))


work = int(sys.argv[1])
if sys.argv[2:] == ["--measure"]:
    multiply(work)
    print(multiply(work)[0])
    sys.exit()
kind = os.environ.get("HET_KIND", "cpu")
share = SHARE[kind]
if share < 1:
    print(f"a pretended {kind}: NumPy stands in for it, with {share:.0%} of the work")

seconds, trace = multiply(max(1, round(work * share)))
print(f"{kind}: trace {trace:.6f} after {seconds:.1f} s")
