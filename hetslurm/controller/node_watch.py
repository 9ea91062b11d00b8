"""The controller's ear: takes reports off the bus, keeps the board, has it judged once a cycle."""

from __future__ import annotations

from collections.abc import Mapping

from hetslurm.bus.board import Board
from hetslurm.bus.receiver import Receiver
from hetslurm.clock import Clock
from hetslurm.cluster import Cluster
from hetslurm.controller.baselines import Baselines, BaselineStore
from hetslurm.daemon.log import Log
from hetslurm.errors import BusError, HetslurmError
from hetslurm.health.columns import Floats
from hetslurm.health.feed import asleep
from hetslurm.health.judge import judge
from hetslurm.health.judgement import Judgement
from hetslurm.health.memory import Memory
from hetslurm.site import BusSite, Site

RETRY_S = 60.0


class NodeWatch:
    """Listens as the configuration says. Without keys, or with `bus.listen` empty, every node is unknown."""

    def __init__(self, store: BaselineStore, *, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._site: BusSite | None = None
        self._receiver: Receiver | None = None
        self._retry_at = 0.0
        self._before: dict[str, int] = {}
        self._names: frozenset[str] = frozenset()
        self.board = Board()
        self._memory = Memory(clock.now())
        self._baselines = Baselines(store, self.board)
        self._baselines_failed = False

    def look(self, cluster: Cluster, site: Site) -> Judgement:
        """Take what came since the last look, and judge. Never raises for what a node sent."""
        self._follow(site.bus)
        names = frozenset(node.name for node in cluster.nodes)
        if names != self._names:
            self._names = names
            self.board.allow(names)
        if self._receiver is not None:
            self.board.take(self._receiver.drain())
        now = self._clock.now()
        nodes = {node.name: node for node in cluster.nodes}

        def declared(name: str, kind: str) -> int:
            node = nodes.get(name)
            return 0 if node is None else sum(gres.count for gres in node.gres if gres.name == kind)

        return judge(
            self.board,
            self._memory,
            site.health,
            now,
            baselines=self._follow_baselines(now),
            asleep=asleep(cluster),
            declared=declared,
        )

    def _follow_baselines(self, now: float) -> Mapping[str, Floats]:
        """What devices are compared with. A disk that refuses costs what is new, and is said once."""
        try:
            baselines = self._baselines.follow(now)
        except HetslurmError as error:
            if not self._baselines_failed:
                self._log.error("baselines are not kept", why=error)
            self._baselines_failed = True
            return self._baselines.by_probe()
        self._baselines_failed = False
        return baselines

    def counters(self) -> Mapping[str, int]:
        """What the bus and the board counted since the controller's start."""
        counts = dict(self._before)
        if self._receiver is not None:
            for name, count in self._receiver.counters().items():
                counts[name] = counts.get(name, 0) + count
        return counts

    def close(self) -> None:
        """Stop listening."""
        if self._receiver is not None:
            self._before = dict(self.counters())
            self._receiver.stop()
            self._receiver = None

    def _follow(self, site: BusSite) -> None:
        """Listen where the configuration says now; where that fails, say so and try again once a minute."""
        wanted = site if site.listen else None
        if self._site == wanted and (self._receiver is not None or wanted is None):
            if self._receiver is not None and not self._receiver.is_running:
                self._log.error("the bus stopped; listening anew")
                self.close()
            else:
                return
        changed = self._site != wanted
        if not changed and self._clock.monotonic() < self._retry_at:
            return
        self.close()
        self._site = wanted
        if wanted is None:
            return
        try:
            receiver = Receiver(wanted, self._log, self._clock)
            receiver.start()
        except BusError as error:
            if changed:  # once, not every minute: a site without agents is no fault
                self._log.warning("no node health", why=error)
            self._retry_at = self._clock.monotonic() + RETRY_S
            return
        self._receiver = receiver
        # What was silent meanwhile is no sign of sickness.
        self._memory.listening_since = self._clock.now()
        self._log.info("listening for nodes", endpoint=wanted.listen, port=receiver.port)
