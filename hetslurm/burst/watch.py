"""On an instance without an agent: its notice goes to the controller through Slurm, as a drain's reason."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from hetslurm.clock import Clock
from hetslurm.cloudburst.interruption import reason_of
from hetslurm.daemon.log import Log
from hetslurm.errors import ProbeError, SlurmError
from hetslurm.host.notice import Notice
from hetslurm.slurm.protocol import SlurmAdapter

EVERY_S = 5.0


def watch(
    node: str,
    read: Callable[[], Notice | None],
    slurm: SlurmAdapter,
    *,
    clock: Clock,
    log: Log,
    pause: Callable[[float], bool],
    every_s: float = EVERY_S,
) -> bool:
    """Until it is said that the instance is taken away, and Slurm has taken the drain: then True.

    `read` gives None where nothing can ever say so: then False, at once. `pause` waits, and is True when it
    is time to stop. A Slurm or a service that does not answer is asked again.
    """
    silent = False
    while True:
        try:
            notice = read()
            if notice is None:
                log.warning("no cloud's instance: nothing to watch", node=node)
                return False
            silent = False
            if notice.interrupted_at is not None:
                slurm.drain_node(node, reason_of(ceil(notice.interrupted_at)))
                left_s = notice.interrupted_at - clock.now()
                log.warning("interruption", node=node, at=notice.interrupted_at, left_s=round(left_s))
                return True
        except (ProbeError, SlurmError) as error:
            if not silent:
                log.warning("watch", node=node, error=error)
            silent = True
        if pause(every_s):
            return False
