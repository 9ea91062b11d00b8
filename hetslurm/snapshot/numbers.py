"""Numbers of the controller's as the snapshot's reader accepts them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hetslurm.native.layout import FOREVER


def numbers(values: Iterable[float]) -> NDArray[np.float64]:
    """Doubles within the reader's bounds: ±∞ cut, -0 made 0. A NaN stays, for the check to refuse."""
    return np.clip(np.fromiter(values, dtype=np.float64), 0.0, FOREVER) + 0.0
