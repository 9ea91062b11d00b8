"""What a cloud says to an instance that it will take away. Pure: bytes to values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from hetslurm.errors import ProbeError


@dataclass(frozen=True, slots=True)
class Notice:
    """`interrupted_at` Unix seconds, None: nobody said so. `rebalance`: it may soon be taken away."""

    interrupted_at: float | None = None
    rebalance: bool = False

    def values(self, now: float) -> dict[str, float]:
        """The metrics of the "instance" probe at Unix seconds `now`."""
        found = {"interrupted": float(self.interrupted_at is not None), "rebalance": float(self.rebalance)}
        if self.interrupted_at is not None:
            found["interrupt_in_s"] = self.interrupted_at - now
        return found


def parse_action(text: str, where: str, now: float) -> float | None:
    """`{"action": "terminate", "time": …}` to Unix seconds; `time` is that, or ISO 8601 as EC2 writes it.

    No time, or one that cannot be read: `now`, for an instance that is going is going. None: the action is
    none of terminate, stop and hibernate. Raises ProbeError for what is no such object.
    """
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProbeError(f"{where}: expected an object with action and time: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("action"), str):
        raise ProbeError(f'{where}: expected {{"action": "terminate", "time": …}}')
    if told["action"] not in ("terminate", "stop", "hibernate"):
        return None
    return _unix(told.get("time"), now)


def _unix(time: object, now: float) -> float:
    if isinstance(time, int | float) and not isinstance(time, bool) and isfinite(time):
        return float(time)
    if isinstance(time, str):
        try:
            at = datetime.fromisoformat(time)
        except ValueError:
            return now
        # EC2 writes UTC, with a Z.
        return at.timestamp() if at.tzinfo else now
    return now
