"""Run estimates: the snapshot's table of them, by the kernel's keys."""

from __future__ import annotations

import pwd
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hetslurm.estimate import RunEstimate
from hetslurm.native.layout import estimate_key, user_key
from hetslurm.snapshot.numbers import numbers


def estimate_table(estimates: Iterable[RunEstimate], uids: Mapping[str, int]) -> dict[str, Any]:
    """One row a class and type, sorted by key; the last of several of one class. Unknown users have none."""
    known = dict(uids)
    keyed = {key: e for e in estimates if (key := _key(e, known)) is not None}
    rows = [keyed[key] for key in sorted(keyed)]
    return {
        "key": sorted(keyed),
        "mean_s": numbers(e.mean_s for e in rows),
        "spread": np.maximum(numbers(e.spread for e in rows), 1.0),
        "trust": np.minimum(numbers(e.trust for e in rows), 1.0),
        "log_sd": numbers(e.log_sd for e in rows),
        "n": [min(e.n, 2**32 - 1) for e in rows],
        "per_work": [e.per_work for e in rows],
        "source": [e.source for e in rows],
    }


def _key(estimate: RunEstimate, uids: dict[str, int]) -> int | None:
    if estimate.app:
        return estimate_key(estimate.app, estimate.kind, estimate.type)
    if not estimate.user:
        return None
    uid = uids.get(estimate.user)
    if uid is None:
        uid = uids[estimate.user] = _uid_of(estimate.user)
    if uid < 0:
        return None
    return user_key(uid, estimate.kind, estimate.type, estimate.units, estimate.limit_min)


def _uid_of(user: str) -> int:
    """-1: nobody knows the user."""
    if user.isdecimal() and int(user) < 2**32:
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return -1
