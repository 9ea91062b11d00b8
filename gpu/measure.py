"""`python -m hetslurm.gpu.measure`: benchmarks one GPU here and now, prints JSON, and ends.

A process of its own, so that the CUDA context (hundreds of MiB of device and of host memory) goes with it. It
ends at its deadline, and with the process that started it, even in the middle of a call to the driver.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Sequence

from hetslurm.gpu.cupy_bench import CupyBench
from hetslurm.gpu.rates import Bench, Found, Plan, measure_rates

PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 1 where nothing could be measured at all."""
    options = _parse(arguments)
    bind_life(options.parent, options.deadline)
    if options.device:
        os.environ["CUDA_VISIBLE_DEVICES"] = options.device
    os.environ["CUPY_TF32"] = "0"  # fp32 is to mean fp32
    try:
        bench: Bench = CupyBench()
        found = measure_rates(bench, Plan(seconds=options.seconds), time.monotonic)
    except Exception as error:
        # CuPy raises what the driver or a missing CUDA library made it raise; the reader wants one line.
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(render(found))
    return 0


def render(found: Found) -> str:
    """What hetslurm.gpu.launch reads."""
    message = "; ".join(f"{name}: {why}" for name, why in found.troubles.items())
    return json.dumps({"rates": found.rates, "message": message})


def bind_life(parent: int, deadline_s: float) -> None:
    """Die with the parent (0: do not), and at the deadline, whatever this process is doing then."""
    if parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew of the wish
            sys.exit(1)
    # The default action of SIGALRM ends the process without asking Python, which a hung driver would not let.
    signal.setitimer(signal.ITIMER_REAL, deadline_s)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hetslurm.gpu.measure", description=(__doc__ or "").strip()
    )
    parser.add_argument("--device", default="", help="UUID or index of the GPU; default: the first")
    parser.add_argument(
        "--seconds", type=float, default=Plan().seconds, help="time for all benchmarks together"
    )
    parser.add_argument(
        "--deadline", type=float, default=120.0, help="end after so many seconds whatever happens"
    )
    parser.add_argument("--parent", type=int, default=0, help="end when this process does")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
