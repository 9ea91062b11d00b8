"""The daemon: cycle after cycle, through Slurm's absences and bad configuration, until it is told to stop."""

from __future__ import annotations

import os
import traceback
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from hetslurm.clock import Clock
from hetslurm.cluster import Cluster
from hetslurm.config import SiteFile
from hetslurm.controller.burst import Scene
from hetslurm.controller.burst_metrics import burst_status
from hetslurm.controller.cycle import UNKNOWN, Plan, plan_cycle, slot_of
from hetslurm.controller.drains import DrainReport
from hetslurm.controller.hands import Hands, take_hands
from hetslurm.controller.learning import learning_status
from hetslurm.controller.lock import InstanceLock
from hetslurm.controller.metrics import Facts, MetricsPage
from hetslurm.controller.order import order_status
from hetslurm.controller.order_rules import as_published
from hetslurm.controller.rebind_metrics import rebind_status
from hetslurm.controller.shadow import shadow_status
from hetslurm.controller.status import Status, write_status
from hetslurm.controller.steering import SteerReport
from hetslurm.controller.waits import wait_status
from hetslurm.daemon.log import Log
from hetslurm.daemon.notify import Notifier
from hetslurm.daemon.stop import Stop, Stopped
from hetslurm.errors import HetslurmError, SlurmUnavailable
from hetslurm.health.judgement import Judgement
from hetslurm.health.notices import notices
from hetslurm.native.kernel import View
from hetslurm.pool import Pool
from hetslurm.slurm.protocol import SlurmAdapter
from hetslurm.slurm.stats import read_stats
from hetslurm.slurm.version import SlurmVersion
from hetslurm.snapshot import SnapshotWriter

LONGEST_PAUSE_S = 15.0
VIEWS_KEPT = 8


class Controller:
    """Reads Slurm, publishes snapshots, places held jobs, notes decisions. One a state folder."""

    def __init__(
        self, file: SiteFile, adapter: SlurmAdapter, *, log: Log, clock: Clock, stop: Stop, notifier: Notifier
    ) -> None:
        self._file = file
        self._adapter = adapter
        self._log = log
        self._clock = clock
        self._stop = stop
        self._notifier = notifier
        self._state_dir = Path(file.site.state_dir)
        self._views: deque[View] = deque(maxlen=VIEWS_KEPT)
        self._writer: SnapshotWriter | None = None
        self._writer_path = ""
        self._failures = 0
        self._drains_failed = False
        self._steering_failed = False
        self._rebind_failed = False
        self._steered = SteerReport()
        self._metrics = MetricsPage(log)
        self._newest: tuple[tuple[Pool, ...], Judgement, DrainReport] = ((), UNKNOWN, DrainReport("off"))
        now = clock.now()
        self.status = Status(pid=os.getpid(), started_at=now, updated_at=now)

    def run(self, *, once: bool = False) -> bool:
        """Work until stopped, or for one cycle. True unless that one cycle (or the last one) failed."""
        with ExitStack() as stack:
            stack.enter_context(InstanceLock(self._state_dir))
            stack.callback(self._close_writer)
            stack.callback(self._metrics.close)
            self._writer_at(self._file.site.snapshot_path)
            hands = take_hands(stack, self._adapter, self._state_dir, self._log, self._clock)
            self._log.info("started", pid=os.getpid(), config=self._file.path, state_dir=self._state_dir)
            with suppress(Stopped):
                self._work(hands, once=once)
            self._notifier.stopping()
            self.status = replace(self.status, stopping=True, updated_at=self._clock.now())
            self._write_status()
            self._log.info("stopped", cycles=self.status.cycles)
        return self._failures == 0

    def _work(self, hands: Hands, *, once: bool) -> None:
        ready = False
        while not self._stop.requested:
            begun = self._clock.monotonic()
            self._follow_config()
            self._try_cycle(hands)
            duration = self._clock.monotonic() - begun
            self._report(duration, hands)
            if not ready:
                self._notifier.ready(self._headline())
                ready = True
            self._notifier.alive(self._headline())
            if once:
                return
            self._rest(self._pause(duration))

    def _follow_config(self) -> None:
        before = self._file.site
        if not self._file.follow(force=self._stop.take_reload()):
            return
        if self._file.error:
            self._log.error("configuration refused, the old stays in force", error=self._file.error)
            return
        self._log.info("configuration read", config=self._file.path)
        for name in ("state_dir", "adapter"):
            if getattr(before, name) != getattr(self._file.site, name):
                self._log.warning("takes effect at the next start", key=f"controller.{name}")

    def _try_cycle(self, hands: Hands) -> None:
        """One cycle. Slurm's absence and our own trouble are survived; the snapshot then grows stale."""
        try:
            self._cycle(hands)
        except SlurmUnavailable as error:
            self._failed(error, slurm="unavailable")
            self._burst_alone(hands)
        except HetslurmError as error:
            self._failed(error, slurm=self.status.slurm)
            self._burst_alone(hands)
        except Exception as error:  # a daemon that places jobs outlives its own bugs
            self._failed(error, slurm=self.status.slurm)
            self._burst_alone(hands)
        else:
            if self._failures:
                self._log.info("working again", after_failures=self._failures)
            self._failures = 0

    def _cycle(self, hands: Hands) -> None:
        site = self._file.site
        with self._stop.interruptible():
            cluster = self._adapter.read_cluster()
            judgement = hands.watch.look(cluster, site)
            order = hands.order.in_force(site.order)
            site = replace(site, order=as_published(order, site.order))
            plan = plan_cycle(cluster, site, judgement, hands.burst.partitions(site), hands.known(site))
        writer = self._writer_at(site.snapshot_path)
        now = self._clock.now()
        slot = slot_of(plan, cluster, site, writer.next_generation, now)
        writer.write(slot)
        view = View(slot)
        self._views.append(view)
        self.status = replace(
            self.status,
            cycles=self.status.cycles + 1,
            generation=view.generation,
            snapshot_at=now,
            slurm=str(SlurmVersion(*cluster.version)),
            nodes=len(cluster.nodes),
            pools=len(plan.pools),
            jobs=len(cluster.jobs),
            held=len(plan.held),
            nodes_heard=int(judgement.heard.sum()),
            nodes_silent=int(judgement.silent.sum()),
            nodes_with_findings=len(judgement.findings),
            bus_suspected=judgement.bus_suspected,
        )
        hands.watch.publish(judgement)
        # After the snapshot: a node loses new work before it is drained.
        self._newest = (plan.pools, judgement, self._drain(hands, cluster, plan, judgement))
        # After the drains: they count changes of nodes, to know whether one of theirs was the only one.
        self._steered = self._steer(hands, cluster, judgement)
        outcome = hands.placer.place(
            plan, cluster, view, until=self._clock.monotonic() + site.cycle_s, stop=self._stop
        )
        self.status = replace(
            self.status,
            held_for_good=outcome.for_good,
            placed_total=self.status.placed_total + outcome.placed,
        )
        # After the placer, which binds what waits for its first placement.
        self._rebind(hands, cluster, plan, view)
        hands.tracing.follow(site.trace.endpoint, cluster.name)
        hands.lives.follow(plan.recorded, until=self._clock.monotonic() + site.cycle_s)
        hands.notes.note(
            plan.recorded, cluster, tuple(self._views), until=self._clock.monotonic() + site.cycle_s
        )
        hands.order.apply(order, plan.recorded, until=self._clock.monotonic() + site.cycle_s)
        hands.shadow.cycle(site, plan, cluster, view)
        hands.learning.follow(plan, cluster, site)
        hands.waits.follow(plan.recorded, cluster, view.generation)
        hands.habits.follow(cluster)
        hands.outlook.follow(plan, cluster, view)
        # After the placer: what it places need not leave for the cloud.
        told = notices(hands.watch.board) if site.burst.policy else {}
        hands.burst.cycle(Scene(site, cluster, plan, view, told), site.cycle_s)

    def _rebind(self, hands: Hands, cluster: Cluster, plan: Plan, view: View) -> None:
        """Moves that cannot be made keep no other part of the cycle waiting; Slurm's absence ends it."""
        site = self._file.site
        until = self._clock.monotonic() + site.cycle_s
        try:
            hands.rebinder.cycle(plan, cluster, view, site, until=until, stop=self._stop)
        except SlurmUnavailable:
            raise
        except (HetslurmError, OSError) as error:  # the ledger, or the audit's disk
            if not self._rebind_failed:
                self._log.error("nothing is moved", error=error)
            self._rebind_failed = True
        else:
            self._rebind_failed = False
        self.status = replace(self.status, rebind=rebind_status(hands.rebinder))

    def _burst_alone(self, hands: Hands) -> None:
        """Instances cost while Slurm is away, too."""
        hands.burst.cycle(Scene(self._file.site), self._file.site.cycle_s)

    def _drain(self, hands: Hands, cluster: Cluster, plan: Plan, judgement: Judgement) -> DrainReport:
        """Drains that cannot be done keep no held job waiting."""
        site = self._file.site
        try:
            report = hands.drains.apply(
                cluster, plan.pools, judgement, site.health, self._clock.monotonic() + site.cycle_s
            )
        except (HetslurmError, OSError) as error:  # the ledger, or the audit's disk
            if not self._drains_failed:
                self._log.error("nothing is drained", error=error)
            self._drains_failed = True
            return DrainReport(site.health.drain.mode)
        self._drains_failed = False
        return report

    def _steer(self, hands: Hands, cluster: Cluster, judgement: Judgement) -> SteerReport:
        """Weights that cannot be set keep no held job waiting."""
        site = self._file.site
        try:
            report = hands.steering.apply(
                cluster, judgement, site.health, self._clock.monotonic() + site.cycle_s
            )
        except (HetslurmError, OSError) as error:  # the ledger, or the audit's disk
            if not self._steering_failed:
                self._log.error("no weight is set", error=error)
            self._steering_failed = True
            return self._steered
        self._steering_failed = False
        return report

    def _writer_at(self, path: str) -> SnapshotWriter:
        if self._writer is None or self._writer_path != path:
            self._close_writer()
            self._writer = SnapshotWriter(path)
            self._writer_path = path
        return self._writer

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _failed(self, error: Exception, *, slurm: str) -> None:
        self._failures += 1
        text = str(error) if isinstance(error, HetslurmError) else _bug(error)
        # The first few, and then ever fewer: a night without slurmctld is not a full disk.
        if self._failures <= 3 or self._failures & (self._failures - 1) == 0:
            self._log.error("cycle failed", error=text, failures=self._failures)
        now = self._clock.now()
        self.status = replace(
            self.status,
            slurm=slurm,
            last_error=text,
            last_error_at=now,
            failures_total=self.status.failures_total + 1,
        )

    def _report(self, duration: float, hands: Hands) -> None:
        self.status = replace(
            self.status,
            updated_at=self._clock.now(),
            cycle_duration_s=round(duration, 6),
            config=str(self._file.path) if self._file.path else None,
            config_error=self._file.error,
            burst=burst_status(hands.burst.facts),
            shadow=shadow_status(hands.shadow.facts),
            order=order_status(hands.order.facts),
            history=learning_status(hands.learning.facts),
            waits=wait_status(hands.waits.facts),
        )
        self._write_status()
        self._show_metrics(hands)
        if self._failures:
            return
        facts = {"generation": self.status.generation, "duration_s": round(duration, 4)}
        self._log.info(
            "cycle", **facts, pools=self.status.pools, jobs=self.status.jobs, held=self.status.held
        )
        if duration > self._file.site.cycle_s:
            self._log.warning("cycle over budget", **facts, budget_s=self._file.site.cycle_s)

    def _show_metrics(self, hands: Hands) -> None:
        port = self._file.site.metrics.controller_port
        self._metrics.follow(port)
        if not port:
            return
        pools, judgement, drained = self._newest
        stats = Path(self._file.site.snapshot_path).with_name("stats")
        try:
            plugin = read_stats(stats)
        except SlurmUnavailable:
            plugin = None
        bus = hands.watch.counters()
        self._metrics.update(
            Facts(
                self.status,
                pools,
                judgement,
                bus,
                drained.counts,
                drained.breaker_open,
                plugin,
                len(self._steered.steered),
                hands.burst.facts,
                hands.shadow.facts,
                hands.learning.facts,
                hands.waits.facts,
                hands.tracing.facts,
            )
        )

    def _write_status(self) -> None:
        try:
            write_status(self._state_dir, self.status)
        except OSError as error:
            self._log.error("status file not written", error=error)

    def _pause(self, duration: float) -> float:
        """Seconds to the next cycle: the rest of the cycle's time, longer and longer while Slurm is away."""
        cycle = self._file.site.cycle_s
        if not self._failures:
            return max(0.05, cycle - duration)
        return float(min(cycle * 2.0 ** min(self._failures - 1, 8), max(LONGEST_PAUSE_S, cycle)))

    def _rest(self, seconds: float) -> None:
        """Wait, and feed the watchdog meanwhile; a stop, a reload ends it."""
        until = self._clock.monotonic() + seconds
        beat = self._notifier.watchdog_s / 2 if self._notifier.watchdog_s else seconds
        while not (self._stop.requested or self._stop.reload):
            left = until - self._clock.monotonic()
            if left <= 0:
                return
            self._stop.wait(min(left, beat))
            self._notifier.alive(self._headline())

    def _headline(self) -> str:
        if self._failures:
            return f"not working since {self._failures} cycles: {self.status.last_error}"
        return (
            f"generation {self.status.generation}, {self.status.pools} pools, {self.status.jobs} jobs, "
            f"{self.status.held} held"
        )


def _bug(error: Exception) -> str:
    """An error that nobody foresaw: what, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
