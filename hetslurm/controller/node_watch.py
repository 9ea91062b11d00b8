"""The controller's ear: takes reports off the bus, keeps the board, has it judged once a cycle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hetslurm.bus.board import Board
from hetslurm.bus.board_file import BoardFile
from hetslurm.bus.board_restore import restore
from hetslurm.bus.board_view import read_board_file
from hetslurm.bus.receiver import Receiver
from hetslurm.clock import Clock
from hetslurm.cluster import Cluster
from hetslurm.controller.baselines import Baselines, BaselineStore, forget_old
from hetslurm.daemon.log import Log
from hetslurm.errors import BusError, HetslurmError
from hetslurm.health.baseline import DAY_S
from hetslurm.health.columns import Floats
from hetslurm.health.feed import asleep
from hetslurm.health.judge import judge
from hetslurm.health.judgement import Judgement
from hetslurm.health.memory import Memory
from hetslurm.site import BusSite, Site

RETRY_S = 60.0


def board_path(site: Site) -> Path:
    """Where the board's file is: beside the snapshot."""
    return Path(site.snapshot_path).with_name("board")


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
        self._store = store
        self._forget_at = 0.0
        self._baselines = Baselines(store, self.board)
        self._baselines_failed = False
        self._file: BoardFile | None = None
        self._file_failed = False

    @property
    def port(self) -> int:
        """The TCP port that it listens on; 0: none."""
        return 0 if self._receiver is None else self._receiver.port

    def look(self, cluster: Cluster, site: Site) -> Judgement:
        """Take what came since the last look, and judge. Never raises for what a node sent."""
        self._follow(site.bus)
        self._restore_from(board_path(site))
        names = frozenset(node.name for node in cluster.nodes)
        if names != self._names:
            self._names = names
            self.board.allow(names)
        away = asleep(cluster)
        # A cloud node that returns may be another machine.
        self.board.forget(away)
        if self._receiver is not None:
            self.board.take(self._receiver.drain())
        now = self._clock.now()
        nodes = {node.name: node for node in cluster.nodes}
        dummies = dummies_of(cluster, site)

        def declared(name: str, kind: str) -> int:
            node = nodes.get(name)
            if node is None:
                return 0
            real = (g for g in node.gres if g.name == kind and (name, g.name, g.type) not in dummies)
            return sum(gres.count for gres in real)

        return judge(
            self.board,
            self._memory,
            site.health,
            now,
            baselines=self._follow_baselines(now),
            asleep=away,
            declared=declared,
        )

    def _follow_baselines(self, now: float) -> Mapping[str, Floats]:
        """What devices are compared with. A disk that refuses costs what is new, and is said once."""
        try:
            baselines = self._baselines.follow(now)
            if self._clock.monotonic() >= self._forget_at:
                self._forget_at = self._clock.monotonic() + DAY_S
                forget_old(self._store, now)
        except HetslurmError as error:
            if not self._baselines_failed:
                self._log.error("baselines are not kept", why=error)
            self._baselines_failed = True
            return self._baselines.by_probe()
        self._baselines_failed = False
        return baselines

    def publish(self, judgement: Judgement) -> None:
        """Write the board for `hetslurm nodes` and for our next life. A disk that refuses is said once."""
        if self._file is None or (self._receiver is None and not len(self.board)):
            return
        try:
            self._file.write(self.board, judgement, self._baselines.by_probe(), self._clock.now())
        except BusError as error:
            if not self._file_failed:
                self._log.error("the board is not written", why=error)
            self._file_failed = True
            return
        self._file_failed = False

    def _restore_from(self, path: Path) -> None:
        """At the start, take up what the last life left; later, only write elsewhere."""
        if self._file is not None:
            if self._file.path != path:
                self._file = BoardFile(path)
            return
        self._file = BoardFile(path)
        if not path.exists():
            return
        try:
            count = restore(self.board, self._memory, read_board_file(path))
        except BusError as error:
            self._log.warning("nodes are judged anew", why=error)
            return
        self._log.info("took up the board", nodes=count)

    def counters(self) -> Mapping[str, int]:
        """What the bus and the board counted since the controller's start."""
        board = self.board.counts
        return self._of_bus() | {name: getattr(board, name) for name in board.__slots__ if name != "taken"}

    def _of_bus(self) -> dict[str, int]:
        """Of all receivers of this life."""
        counts = dict(self._before)
        if self._receiver is not None:
            for name, count in self._receiver.counters().items():
                counts[name] = counts.get(name, 0) + count
        return counts

    def close(self) -> None:
        """Stop listening."""
        if self._receiver is not None:
            self._before = self._of_bus()
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


def dummies_of(cluster: Cluster, site: Site) -> frozenset[tuple[str, str, str]]:
    """(node, GRES, type) of what the site calls dummies: no probe finds them, and none is missed."""
    called = {facts.partition for facts in site.pools if facts.dummy}
    if not called:
        return frozenset()
    nodes = {node.name: node for node in cluster.nodes}
    return frozenset(
        (name, gres.name, gres.type)
        for partition in cluster.partitions
        if partition.name in called
        for name in partition.nodes
        if name in nodes
        for gres in nodes[name].gres
        if site.is_dummy(partition.name, gres.name, gres.type)
    )
