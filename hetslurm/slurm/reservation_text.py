"""`scontrol show reservation -o` as values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hetslurm.cluster import Reservation
from hetslurm.slurm.durations import parse_instant
from hetslurm.slurm.gres import parse_tres
from hetslurm.slurm.hostlist import expand_hostlist

_FIELD = re.compile(r"(?:^| )([A-Za-z]+)=(\S*)")


def parse_reservations(text: str) -> Iterator[Reservation]:
    """Reservations that keep nodes; of licenses or burst buffers alone, none. Needs SLURM_TIME_FORMAT=%s."""
    for line in text.splitlines():
        fields = dict(_FIELD.findall(line))
        start_at, end_at = (parse_instant(fields.get(key, "")) for key in ("StartTime", "EndTime"))
        nodes = expand_hostlist(fields.get("Nodes", ""))
        if "ReservationName" not in fields or start_at is None or end_at is None or not nodes:
            continue
        yield Reservation(
            fields["ReservationName"],
            start_at,
            end_at,
            nodes,
            frozenset(flag for flag in fields.get("Flags", "").upper().split(",") if flag),
            parse_tres(fields.get("TRES", "")).get("cpu", 0),
        )
