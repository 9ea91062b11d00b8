"""The daemon of a node: beat after beat, whatever becomes of its probes and of the controller."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from secrets import randbits

from hetslurm.agent.nursery import Nursery
from hetslurm.agent.page import Facts, Page
from hetslurm.agent.reporter import Reporter
from hetslurm.agent.ward import Ward
from hetslurm.agent.watch import Outcome
from hetslurm.backoff import Chance
from hetslurm.bus.keys import NODE_FILE, NodeKey, load_node_key
from hetslurm.bus.sender import Notice, Sender
from hetslurm.clock import Clock
from hetslurm.config import SiteFile
from hetslurm.daemon.log import Log
from hetslurm.daemon.notify import Notifier
from hetslurm.daemon.stop import Line, Stop
from hetslurm.errors import ConfigError, HetslurmError, KeyFileError
from hetslurm.site import BusSite, Site
from hetslurm.telemetry import ProbeState

# Of a beat, what its report waits for the probes that were asked on it.
PATIENCE_SHARE, LONGEST_PATIENCE_S = 0.25, 2.0
# With --once: what a connection may take, and then the report's way.
ONCE_CONNECT_S, ONCE_LINGER_S = 10.0, 2.0
_UNSEEN = frozenset({ProbeState.FAILED, ProbeState.TIMED_OUT, ProbeState.CRASHED})


class Agent:
    """`key_path` None: node.key in the folder that the configuration names."""

    def __init__(
        self,
        file: SiteFile,
        node: str,
        nursery: Nursery,
        *,
        key_path: Path | None,
        log: Log,
        clock: Clock,
        stop: Stop,
        notifier: Notifier,
        chance: Chance,
    ) -> None:
        """Raises ConfigError and KeyFileError: an agent that can tell nobody is not started."""
        self._file = file
        self._site = file.site
        self._node = node
        self._nursery = nursery
        self._key_path = key_path
        self._log = log
        self._clock = clock
        self._stop = stop
        self._notifier = notifier
        self._chance = chance
        self._said: dict[str, tuple[ProbeState, str]] = {}
        _check_way(file.site)
        self._key = _load_key(file.site.bus, node, key_path)

    def run(self, *, once: bool = False) -> bool:
        """Work until stopped, or for one report. False where that one reached nobody."""
        with ExitStack() as stack:
            site = self._site
            self._ward = Ward(
                site.agent, self._nursery, beat_s=site.bus.beat_s, clock=self._clock, chance=self._chance
            )
            stack.callback(self._ward.stop)
            self._reporter = Reporter(self._node, randbits(63), site.bus.beat_s)
            self._sender = self._open_sender(site.bus)
            stack.callback(lambda: self._sender.close(ONCE_LINGER_S if once else 0.0))
            stack.callback(self._notifier.stopping)
            self._log.info("started", node=self._node, pid=os.getpid(), config=self._file.path)
            if once:
                return self._one_report()
            page = Page(site.metrics.agent_port, self._log)
            stack.callback(page.close)
            self._page = page
            # What lives now lives as long as the agent: the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            self._beat_on()
            self._log.info("stopped", reports=self._reporter.seq)
        return True

    def _beat_on(self) -> None:
        beat_s = self._site.bus.beat_s
        # Where on the beat this node is, is chance: 10,000 of them do not speak at once.
        next_at = self._clock.monotonic() + beat_s * self._chance()
        report_at = float("inf")
        number = 0
        self._notifier.ready(self._headline())
        while not self._stop.requested:
            if self._stop.take_reload():
                self._reload()
                beat_s = self._site.bus.beat_s
                next_at = min(next_at, self._clock.monotonic() + beat_s)
            now = self._clock.monotonic()
            if now >= next_at:
                self._ward.beat(number)
                number += 1
                report_at = now + min(PATIENCE_SHARE * beat_s, LONGEST_PATIENCE_S)
                next_at = next_at + beat_s if now < next_at + beat_s else now + beat_s
            if report_at <= now or (report_at < float("inf") and self._ward.settled):
                report_at = float("inf")
                self._report()
            self._wait(min(next_at, report_at))

    def _wait(self, until: float) -> None:
        until = min(until, self._ward.due_at())
        if self._notifier.watchdog_s:
            until = min(until, self._clock.monotonic() + self._notifier.watchdog_s / 2)
        readable = self._stop.wait(until - self._clock.monotonic(), self._ward.lines())
        self._follow(readable)

    def _follow(self, readable: Sequence[Line]) -> None:
        for outcome in self._ward.advance(readable):
            self._tell(outcome)
        self._notifier.alive(self._headline())

    def _report(self) -> None:
        for notice in self._sender.look():
            self._tell_notice(notice)
        data = self._reporter.report(self._ward.observed, now=self._clock.now(), mono=self._clock.monotonic())
        self._sender.send(data)
        if self._page.wanted:
            self._page.update(
                Facts(
                    self._ward.observed,
                    dict(self._ward.runs),
                    {name: replace(traffic) for name, traffic in self._sender.traffic.items()},
                    (os.getpid(), self._nursery.pid, *self._nursery.pids.values()),
                )
            )

    def _one_report(self) -> bool:
        self._ward.beat(0)
        while not (self._ward.settled or self._stop.requested):
            self._wait(self._clock.monotonic() + 1.0)
        until = self._clock.monotonic() + ONCE_CONNECT_S
        taken = 0
        while not (taken or self._stop.requested) and self._clock.monotonic() < until:
            for notice in self._sender.look():
                self._tell_notice(notice)
            if any(traffic.connected for traffic in self._sender.traffic.values()):
                taken = self._sender.send(
                    self._reporter.report(
                        self._ward.observed, now=self._clock.now(), mono=self._clock.monotonic()
                    )
                )
            self._stop.wait(0.02)
        if not taken:
            self._log.error("the report reached nobody", endpoints=" ".join(self._site.bus.connect))
        return bool(taken)

    def _reload(self) -> None:
        """Take a changed configuration or key; where either is wrong, all stays as it was."""
        changed = self._file.follow(force=True)
        site, before = self._file.site, self._site
        try:
            if self._file.error:
                raise ConfigError(self._file.error)
            _check_way(site)
            key = _load_key(site.bus, self._node, self._key_path)
        except HetslurmError as error:
            self._log.error("configuration refused, the old stays in force", error=error)
            return
        if (site.bus.connect, key) != (before.bus.connect, self._key):
            self._key = key
            self._sender.close()
            self._sender = self._open_sender(site.bus)
        if (site.agent, site.bus.beat_s) != (before.agent, before.bus.beat_s):
            self._ward.follow(site.agent, site.bus.beat_s)
            self._reporter.beat_s = site.bus.beat_s
        if site.metrics.agent_port != before.metrics.agent_port:
            self._log.warning("takes effect at the next start", key="metrics.agent_port")
        self._site = site
        self._log.info("configuration read", config=self._file.path, changed=changed)

    def _open_sender(self, bus: BusSite) -> Sender:
        return Sender(bus.connect, self._key, chance=self._chance, monotonic=self._clock.monotonic)

    def _tell(self, outcome: Outcome) -> None:
        """Log what is new: a probe that fails for a week fails once."""
        sample = outcome.run.sample
        if self._said.get(f"{outcome.probe} {outcome.task}") == (sample.state, sample.message):
            return
        self._said[f"{outcome.probe} {outcome.task}"] = (sample.state, sample.message)
        say = self._log.warning if sample.state in _UNSEEN else self._log.info
        words = {"message": sample.message} if sample.message else {}
        say(f"probe {outcome.task}", probe=outcome.probe, state=sample.state.label, **words)

    def _tell_notice(self, notice: Notice) -> None:
        if notice.what == "connected":
            self._log.info("connected", endpoint=notice.endpoint)
            return
        failed = self._sender.traffic[notice.endpoint].handshakes_failed
        # The first few, and then ever fewer.
        if notice.what != "refused" or failed <= 3 or failed & (failed - 1) == 0:
            words = {"why": notice.why, "failures": failed} if notice.why else {}
            self._log.warning(f"connection {notice.what}", endpoint=notice.endpoint, **words)

    def _headline(self) -> str:
        traffic = self._sender.traffic.values()
        connected = sum(one.connected for one in traffic)
        states = " ".join(f"{one.probe}={one.state.label}" for one in self._ward.observed)
        return f"{self._reporter.seq} reports, {connected} of {len(traffic)} connected; {states}"


def _check_way(site: Site) -> None:
    if not site.bus.connect:
        raise ConfigError("[bus] connect names no controller, so that nobody would hear of this node")


def _load_key(bus: BusSite, node: str, path: Path | None) -> NodeKey:
    path = path or Path(bus.keys_dir) / NODE_FILE
    key = load_node_key(path)
    if key.node != node or key.role != "node":
        raise KeyFileError(
            f"{path}: it is the key of {key.role} {key.node}, and this is {node}; see --node and --key"
        )
    return key
