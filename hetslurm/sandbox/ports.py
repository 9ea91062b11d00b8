"""Free ports on loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

# Below Linux's ephemeral range, so that no outgoing connection takes one between the look and the use.
FIRST, LAST = 20_000, 32_000


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A port of its own for each name, that nobody listens on now."""
    candidates = iter(random.sample(range(FIRST, LAST), LAST - FIRST))
    return {name: next(port for port in candidates if _is_free(port)) for name in names}


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
