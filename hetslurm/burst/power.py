"""What the three power-saving programs share: the book, Slurm, the providers, and what they tell a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from hetslurm.clock import Clock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.provider.protocol import Provider
from hetslurm.cloudburst.reconcile_values import OURS
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmError
from hetslurm.slurm.protocol import SlurmAdapter

MOST_REASON = 200


@dataclass(frozen=True, slots=True)
class Power:
    """Everything that a program works with. `pause` waits so many seconds."""

    state_dir: Path
    policy: Policy
    book: Book
    providers: Mapping[str, Provider]
    slurm: SlurmAdapter
    clock: Clock
    log: Log
    pause: Callable[[float], None] = sleep

    def heartbeat_age_s(self) -> float:
        """How long ago the reconciler said that it lives."""
        return self.clock.now() - self.book.heartbeat()

    def is_stale(self) -> bool:
        """Nobody would end what is started now: nothing is."""
        return not -self.policy.retry.heartbeat_s <= self.heartbeat_age_s() <= self.policy.retry.heartbeat_s


def reason_of(trouble: str, why: str) -> str:
    """`hetslurm: capacity: …`, one line that Slurm can keep."""
    text = " ".join(f"{OURS}{trouble}: {why}".split())
    return text if len(text) <= MOST_REASON else f"{text[: MOST_REASON - 1]}…"


def give_up(slurm: SlurmAdapter, log: Log, reasons: Mapping[str, str]) -> None:
    """Set nodes DOWN, so that their jobs are requeued at once, and power them down: they can be used again.

    The reason stays with the node. A Slurm that does not answer costs the acts, not the rest: the
    reconciler sees those nodes, too.
    """
    alike: dict[str, list[str]] = {}
    for node, reason in reasons.items():
        log.warning("burst gives up", node=node, reason=reason)
        alike.setdefault(reason, []).append(node)
    for reason, nodes in alike.items():
        try:
            _down(slurm, nodes, reason)
        except SlurmError:
            # One node that Slurm will not hear of must not keep the others up.
            for node in nodes:
                try:
                    _down(slurm, [node], reason)
                except SlurmError as error:
                    log.warning("burst cannot give up", node=node, why=str(error))


def _down(slurm: SlurmAdapter, nodes: Sequence[str], reason: str) -> None:
    slurm.node_down(nodes, reason)
    slurm.power_down(nodes)
