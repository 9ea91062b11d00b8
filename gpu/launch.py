"""Runs the benchmark of one device in a process of its own, that ends, and reads what it prints."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from hetslurm.gpu.reading import Rates
from hetslurm.telemetry import GPU, Meaning

NO_CUPY = "no CuPy: state only"
# For one device: imports, a CUDA context and cuBLAS take most of it, the first time after a boot above all.
DEADLINE_S = 60.0
# Agents give a benchmark so many of their deadlines for each device.
DEADLINES = 6.0
RATES = frozenset(metric.name for metric in GPU if metric.meaning is Meaning.RATE)
PROGRAM = (sys.executable, "-P", "-m", "hetslurm.gpu.measure")


def launch(uuid: str, program: Sequence[str] = PROGRAM, deadline_s: float = DEADLINE_S) -> Rates:
    """The rates of the device with this UUID. Never raises: what went wrong is the message.

    The process dies with the thread that called this.
    """
    if not uuid:
        return Rates(message="has no UUID to choose it by")
    if program is PROGRAM and find_spec("cupy") is None:
        return Rates(message=NO_CUPY)
    command = [*program, "--device", uuid, "--parent", str(os.getpid()), "--deadline", str(deadline_s)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, check=False)
    except subprocess.TimeoutExpired:
        return Rates(message=f"the benchmark took longer than {deadline_s:g} s")
    except OSError as error:
        return Rates(message=f"the benchmark did not start: {error}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Rates(message=f"the benchmark ended with {done.returncode}: {last}")
    return parse_rates(done.stdout)


def parse_rates(text: str) -> Rates:
    """What the program printed: {"rates": {metric: number}, "message": text}."""
    try:
        told: Any = json.loads(text)
        values = {name: float(number) for name, number in told["rates"].items()}
        message = str(told["message"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Rates(message=f"the benchmark printed what cannot be read: {error!r}")
    known = {
        name: rate for name, rate in values.items() if name in RATES and math.isfinite(rate) and rate > 0
    }
    return Rates(known, message)
