"""The pools of a snapshot slot, in people's units. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hetslurm.estimate import Source
from hetslurm.native.layout import REASONS
from hetslurm.pool import WAIT_LENGTHS, WAIT_LENGTHS_MIN
from hetslurm.slot import header_of, unpack
from hetslurm.snapshot import slot_array

SIZES = (("small", 0), ("half", 6), ("full", 7))
# The length classes, in minutes of a job's limit. `wait_s` is that of the shortest.
LIMITS = (*(str(minutes) for minutes in WAIT_LENGTHS_MIN), "longer")
HOUR_MICRO = 3600 / 1e6


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A slot's header and pools. Times are Unix seconds."""

    generation: int
    written_at: float
    max_age_s: float
    currency: str
    cluster: str
    pools: tuple[dict[str, Any], ...]

    def age_s(self, now: float) -> float:
        """Seconds since it was written."""
        return max(0.0, now - self.written_at)


def read_slot(content: bytes) -> Snapshot:
    """The slot's bytes (as `snapshot.read_view` gives them) as rows; each is what `pools --json` prints."""
    slot = slot_array(content)
    header, tables = header_of(slot), unpack(slot)
    pool, part = tables["pool"], tables["part"]
    strings = tables["str"]["byte"].tobytes()
    rows = range(len(pool["name"]))
    return Snapshot(
        generation=int(header["generation"]),
        written_at=int(header["written_at_ns"]) / 1e9,
        max_age_s=int(header["max_age_ns"]) / 1e9,
        currency=bytes(header["currency"]).partition(b"\0")[0].decode("utf-8", "replace"),
        cluster=bytes(header["cluster"]).partition(b"\0")[0].decode("utf-8", "replace"),
        pools=tuple(_row({name: column[i] for name, column in pool.items()}, part, strings) for i in rows),
    )


def _row(pool: dict[str, Any], part: dict[str, Any], strings: bytes) -> dict[str, Any]:
    kind, kind_type = _text(strings, pool["kind_name"]), _text(strings, pool["type_name"])
    per_node = int(pool["cpus_per_node"]) if kind == "cpu" else int(pool["devices_per_node"])
    waits = pool["wait_s"]
    return {
        "pool": _text(strings, pool["name"]),
        "partition": _text(strings, part["name"][pool["part"]]),
        "kind": kind,
        "type": kind_type,
        "nodes": int(pool["nodes"]),
        "nodes_up": round(float(pool["units"]) / per_node) if per_node else 0,
        "units_per_node": per_node,
        "units": float(pool["units"]),
        "units_free": float(pool["units_free"]),
        "wait_s": {name: float(waits[size * WAIT_LENGTHS]) for name, size in SIZES},
        "wait_by_limit_s": {
            name: {limit: float(waits[size * WAIT_LENGTHS + n]) for n, limit in enumerate(LIMITS)}
            for name, size in SIZES
        },
        "wait_source": _source(pool["wait_source"]),
        "startup_s": float(pool["startup_s"]),
        "speed": float(pool["speed"]),
        "price_per_hour": _rates(pool, "price", HOUR_MICRO),
        "price_source": _source(pool["price_source"]),
        "watts": _rates(pool, "watt", 1.0),
        "watts_source": _source(pool["watt_source"]),
        "shadow": float(pool["shadow"]),
        "shadow_source": _source(pool["shadow_source"]),
        "health": float(pool["health"]),
        "reasons": [text for bit, (_, _, text) in enumerate(REASONS) if int(pool["reasons"]) >> bit & 1],
    }


def _rates(pool: dict[str, Any], name: str, factor: float) -> dict[str, float]:
    return {what: round(float(pool[f"{name}_{what}"]) * factor, 6) for what in ("cpu", "device", "node")}


def _source(value: Any) -> str:
    return Source(int(value)).label


def _text(strings: bytes, at: Any) -> str:
    start = int(at)
    return strings[start : strings.index(b"\0", start)].decode("utf-8", "replace")
