"""The agent's Prometheus page, on loopback. Its library is loaded only where a port is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hetslurm.agent.observed import Observed
from hetslurm.bus.sender import Traffic
from hetslurm.daemon.log import Log

if TYPE_CHECKING:
    from hetslurm.agent.metrics import Exporter

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What one beat leaves for scrapes. `runs` is by (probe, task, state); `pids` are all of the agent's."""

    observed: tuple[Observed, ...]
    runs: Mapping[tuple[str, str, str], int]
    traffic: Mapping[str, Traffic]
    pids: tuple[int, ...]


class Page:
    """Listens on a port; 0: nowhere. A port that is taken is logged, and the agent goes on without."""

    def __init__(self, port: int, errors: Log) -> None:
        self._exporter: Exporter | None = None
        if not port:
            return
        from hetslurm.agent.metrics import Exporter  # noqa: PLC0415  it costs as much memory as a probe

        try:
            self._exporter = Exporter(LOOPBACK, port)
        except OSError as error:
            errors.error("no metrics page", port=port, error=error.strerror or error)

    @property
    def wanted(self) -> bool:
        """There is somebody to leave facts for."""
        return self._exporter is not None

    def update(self, facts: Facts) -> None:
        """Scrapes from now on see these."""
        if self._exporter is not None:
            self._exporter.facts = facts

    def close(self) -> None:
        """Stop listening."""
        if self._exporter is not None:
            self._exporter.close()
            self._exporter = None
