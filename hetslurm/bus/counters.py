"""What the bus counts. Everything that is dropped is in one of these."""

from __future__ import annotations

COUNTERS = {
    "accepted": "reports taken",
    "garbage": "messages that are no report",
    "oversized": "messages longer than a report may be",
    "version": "reports in a wire form that this reader does not know",
    "forged": "reports under another node's name than the key's",
    "revoked": "messages and connections of a revoked key",
    "unknown_key": "messages and connections of a key that was never issued",
    "flood": "reports of a node that sends too many",
    "replayed": "reports that came before, of an agent's earlier life, or out of order",
    "overflow": "reports dropped because nobody took them in time",
    "handshakes_ok": "connections made",
    "handshakes_refused": "connections refused: no CURVE, wrong server key, unknown or revoked key",
    "disconnects": "connections that ended",
    "reload_errors": "looks at a registry that could not be trusted",
    "crashes": "times that the loop died and was started again",
}


def zeros() -> dict[str, int]:
    """Every counter at 0."""
    return dict.fromkeys(COUNTERS, 0)
