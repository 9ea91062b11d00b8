"""Gavel's measured training throughputs: steps a second of a model on an accelerator.

The file is `scheduler/simulation_throughputs.json` of github.com/stanford-futuredata/gavel (Narayanan et
al., OSDI 2020): accelerator → "('model (batch size n)', workers)" → {"null": steps a second alone, …}.
0 means that it does not run there.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetslurm.errors import WorkloadError

_ALONE = "null"
_UNCONSOLIDATED = "_unconsolidated"


@dataclass(frozen=True, slots=True)
class Throughputs:
    """Steps a second, `rates` (apps, devices); NaN: it does not run there."""

    apps: tuple[str, ...]
    devices: tuple[str, ...]
    rates: NDArray[np.float64]

    def consolidated(self) -> Throughputs:
        """Without the rows of workers that are spread over servers: one device is one accelerator."""
        kept = [n for n, device in enumerate(self.devices) if not device.endswith(_UNCONSOLIDATED)]
        return Throughputs(self.apps, tuple(self.devices[n] for n in kept), self.rates[:, kept])

    def ln_times(self) -> NDArray[np.float64]:
        """ln seconds a step, (apps, devices)."""
        return -np.log(self.rates)


def read_throughputs(path: Path) -> Throughputs:
    """The table of what runs alone. Raises WorkloadError with the place where the file is another."""
    try:
        raw = path.read_bytes()
        document = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise WorkloadError(f"{path}: no JSON: {error}") from error
    return parse_throughputs(document, str(path))


def parse_throughputs(document: Any, where: str) -> Throughputs:
    """See `read_throughputs`; `where` names the file in errors."""
    if not isinstance(document, dict) or not all(isinstance(row, dict) for row in document.values()):
        raise WorkloadError(f"{where}: expected an object of accelerators that hold objects of jobs")
    devices = tuple(sorted(document))
    apps = tuple(sorted({app for row in document.values() for app in row}))
    if not apps:
        raise WorkloadError(f"{where}: it holds no job")
    rates = np.full((len(apps), len(devices)), np.nan)
    for j, device in enumerate(devices):
        for i, app in enumerate(apps):
            cell = document[device].get(app)
            if cell is None:
                continue
            rate = cell.get(_ALONE) if isinstance(cell, dict) else None
            if not isinstance(rate, int | float) or not isfinite(rate) or rate < 0:
                raise WorkloadError(
                    f"{where}: {device}, {app}: expected a number of steps a second under {_ALONE!r}"
                )
            if rate > 0:
                rates[i, j] = rate
    return Throughputs(apps, devices, rates)
