"""Which message is believed: its sender's key, name, number and rate. No socket here."""

from __future__ import annotations

from dataclasses import dataclass, field

from hetslurm.bus.envelope import unwrap
from hetslurm.bus.log import EventLog, QuietLog
from hetslurm.bus.registry import Registry
from hetslurm.bus.wire import Report, WireError, decode
from hetslurm.bus.zap import ACCEPT, REVOKED, UNKNOWN
from hetslurm.clock import Clock

# Reports of one key in one beat. An agent sends one; after a restart or a reconnect, a second.
REPORTS_PER_BEAT = 8
_LIVES = 8


@dataclass(slots=True)
class Peer:
    """One key in force: whose it is, and what came under it."""

    node: str
    is_relay: bool
    window: int = -1
    count: int = 0
    agent: int = -1
    seq: int = 0
    earlier: tuple[int, ...] = field(default=())


class Admission:
    """Believes a message or counts why not. One thread."""

    def __init__(
        self, registry: Registry, counters: dict[str, int], log: EventLog, clock: Clock, limit: int
    ) -> None:
        self._counters = counters
        self._log = QuietLog(log, clock)
        self._limit = limit
        self._peers: dict[str, Peer] = {}
        self._revoked: frozenset[str] = frozenset()
        self._names: dict[str, str] = {}
        self.use(registry)

    def use(self, registry: Registry) -> None:
        """From now on this registry; what came under keys that stay is remembered."""
        old = self._peers
        self._peers = {
            key: old.get(key) or Peer(entry.node, entry.role == "relay")
            for key, entry in registry.in_force.items()
        }
        self._revoked = registry.revoked
        self._names = {entry.public: entry.node for entry in registry.entries}

    def knows(self, key: str) -> bool:
        """Is this key in the registry, in force or not?"""
        return key in self._names

    def verdict(self, key: str) -> tuple[bytes, bytes]:
        """May this key connect?"""
        if key in self._peers:
            return ACCEPT
        self._no_peer(key)
        return REVOKED if key in self._revoked else UNKNOWN

    def admit(self, key: str, data: bytes, window: int) -> tuple[str, bytes, Report] | None:
        """A message under `key`: the reporting node's key, the report's bytes, and the report; None: dropped.

        `window` numbers the beat that this moment is in.
        """
        peer = self._peers.get(key)
        if peer is None or peer.is_relay:
            attested = self._attested(key, peer, data)
            if attested is None:
                return None
            key, peer, data = attested
        if peer.window != window:
            peer.window = window
            peer.count = 0
        peer.count += 1
        if peer.count > self._limit:
            self._count("flood", "too many reports", peer, limit=self._limit)
            return None
        try:
            report = decode(data)
        except WireError as error:
            self._count(error.kind, "not a report", peer, kind=error.kind, error=error)
            return None
        if report.node != peer.node:
            self._count("forged", "report under another node's name", peer, claimed=report.node)
            return None
        is_next = report.seq > peer.seq if report.agent == peer.agent else self._new_life(peer, report.agent)
        if not is_next:
            self._counters["replayed"] += 1
            return None
        peer.seq = report.seq
        return key, data, report

    def _attested(self, key: str, relay: Peer | None, data: bytes) -> tuple[str, Peer, bytes] | None:
        """What a relay vouches for: the node's key, if it is in force here too, and the report."""
        if relay is None:
            self._no_peer(key)
            return None
        parts = unwrap(data)
        if parts is None:
            self._count("garbage", "no envelope of a relay's", relay)
            return None
        peer = self._peers.get(parts[0])
        if peer is None or peer.is_relay:
            self._no_peer(parts[0], relay.node)
            return None
        return parts[0], peer, parts[1]

    def _new_life(self, peer: Peer, agent: int) -> bool:
        """Another agent than before speaks for the node: a new one, or one that was superseded."""
        if agent in peer.earlier:
            event = "report of an agent's earlier life; do two run?"
            self._log.warning(event, peer.node, node=peer.node)
            return False
        if peer.agent >= 0:
            peer.earlier = (peer.agent, *peer.earlier[: _LIVES - 1])
        peer.agent = agent
        return True

    def _count(self, counter: str, event: str, peer: Peer, **fields: object) -> None:
        self._counters[counter] += 1
        self._log.warning(event, peer.node, node=peer.node, **fields)

    def _no_peer(self, key: str, relay: str = "") -> None:
        extra = {"relay": relay} if relay else {}
        if key in self._revoked:
            self._counters["revoked"] += 1
            node = self._names[key]
            self._log.warning("revoked key", node, node=node, key=key, **extra)
        else:
            self._counters["unknown_key"] += 1
            self._log.warning("unknown key", relay, key=key, **extra)
