"""The hash chain that makes a changed, lost or inserted entry show. Pure."""

from __future__ import annotations

import hashlib
import json

GENESIS = "0" * 64


def hash_of(
    before: str,
    *,
    seq: int,
    at_us: int,
    kind: str,
    res_id: int,
    payer: tuple[str, str, str],
    reserved_micro: int,
    spent_micro: int,
    what: str,
    by: str,
) -> str:
    """SHA-256, in hexadecimal, over the hash `before` and every field of an entry.

    The encoding is a JSON array without spaces, non-ASCII escaped: one entry has one encoding, and two
    entries never share one. `at_us` are microseconds since 1970, so that no rounding enters.
    """
    fields = (before, seq, at_us, kind, res_id, *payer, reserved_micro, spent_micro, what, by)
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode("ascii")).hexdigest()
