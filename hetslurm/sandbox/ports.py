"""Free ports on loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

# Below Linux's ephemeral range, so that no outgoing connection takes one between the look and the use.
FIRST, LAST = 20_000, 32_000


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A port for each name that nobody listens on now. All are held while looking, so they differ."""
    names = list(names)
    held: list[socket.socket] = []
    try:
        candidates = iter(random.sample(range(FIRST, LAST), LAST - FIRST))
        while len(held) < len(names):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                listener.bind(("127.0.0.1", next(candidates)))
                held.append(listener)
            except OSError:
                listener.close()
        return {name: s.getsockname()[1] for name, s in zip(names, held, strict=True)}
    finally:
        for s in held:
            s.close()
