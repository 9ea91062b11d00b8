"""bus_scale: thousands of agents and one controller: reports' way to the snapshot, memory, a reconnect storm.

Every agent has its own key and CURVE connection and sends the real wire form on its beat, with new samples in
each report; they share a few processes. The controller's side is its cycle without Slurm: reports are taken
and judged, pools derived, the snapshot and the board written, in that order, every two seconds. A report's
age is from its sending to the snapshot that knows it. The storm begins with a controller that ends and one
that starts on what that left. The full form: `python -m bench.bus_scale --nodes 10000 --seconds 600`.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import random
import tempfile
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from bench.bus_scene import BEAT_S, make_keys, observed, quantile, resident_mb
from hetslurm.agent.reporter import Reporter
from hetslurm.bus.keys import NodeKey
from hetslurm.bus.sender import HANDSHAKE_MS, RECONNECT_LONGEST_MS, RECONNECT_MS
from hetslurm.clock import SystemClock
from hetslurm.cluster import Cluster, Node, Partition
from hetslurm.controller.baselines import BaselineStore
from hetslurm.controller.cycle import plan_cycle, slot_of
from hetslurm.controller.node_watch import NodeWatch
from hetslurm.daemon.log import Log
from hetslurm.site import BusSite, Site
from hetslurm.snapshot import SnapshotWriter

PROCESSES = 4
CYCLE_S = 2.0
TICK_S = 0.01
# Longer than any reconnect may take.
PATIENCE_S = 300.0
DOWN_S = 3.0


@dataclass
class Seen:
    """What the controller's side of the benchmark saw."""

    ages_s: array[float] = field(default_factory=lambda: array("d"))
    cycles_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    with_findings: int = 0


def measure(nodes: int = 1000, seconds: float = 20.0) -> dict[str, Any]:
    """The record; the baseline is the goal: two beats."""
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-", dir=base) as folder:
        detail = _run(Path(folder), nodes, seconds)
    return {
        "name": "bus_scale",
        "value": detail["age_p99_s"],
        "unit": "s",
        "baseline": 2 * BEAT_S,
        "ratio": detail["age_p99_s"] / (2 * BEAT_S),
        "detail": detail,
    }


def _run(folder: Path, nodes: int, seconds: float) -> dict[str, Any]:
    keys = make_keys(folder / "keys", nodes)
    controller = Controller(folder, [key.node for key in keys])
    fleet = Fleet(keys, controller.port)
    try:
        first_s = controller.until_all_heard()
        controller.watch(2 * BEAT_S, Seen())
        before, steady, storm = controller.counters(), Seen(), Seen()
        controller.watch(seconds, steady)
        counts = controller.counters()
        controller.close()
        time.sleep(DOWN_S)
        controller = Controller(folder, [key.node for key in keys], controller.port)
        storm_s = controller.until_all_heard()
        controller.watch(2 * BEAT_S, storm)
        return {
            "nodes": nodes,
            "beat_s": BEAT_S,
            "seconds": seconds,
            "first_connect_s": first_s,
            "age_p50_s": quantile(steady.ages_s, 0.5),
            "age_p99_s": quantile(steady.ages_s, 0.99),
            "age_max_s": max(steady.ages_s),
            "reports_accepted": counts["accepted"] - before["accepted"],
            "reports_judged": len(steady.ages_s),
            "reports_lost": counts["lost"] - before["lost"],
            "nodes_with_findings": steady.with_findings,
            "cycle_p99_s": quantile(steady.cycles_s, 0.99),
            "memory_mb": _tenths(steady.memory_mb),
            "storm_settled_s": storm_s,
            "storm_age_p99_s": quantile(storm.ages_s, 0.99),
            "storm_counters": {name: n for name, n in controller.counters().items() if n},
            "counters": {name: n for name, n in counts.items() if n},
        }
    finally:
        fleet.stop()
        controller.close()


def _tenths(values: Sequence[float]) -> list[float]:
    """At the beginning, at each tenth, and at the end."""
    return [round(values[(len(values) - 1) * n // 10], 1) for n in range(11)]


class Controller:
    """A controller's cycles on nodes that Slurm is said to have; `folder` has its keys and its state."""

    def __init__(self, folder: Path, names: Sequence[str], port: int | None = None) -> None:
        endpoint = f"tcp://127.0.0.1:{port or '*'}"
        self._site = Site(
            state_dir=str(folder / "state"),
            snapshot_path=str(folder / "snapshot"),
            bus=BusSite(endpoint, keys_dir=str(folder / "keys"), beat_s=BEAT_S),
        )
        nodes = tuple(Node(name, 64, 256_000, frozenset({"IDLE"})) for name in names)
        self._cluster = Cluster(
            "bench", (22, 5, 8), time.time(), nodes, (Partition("cpu", tuple(names)),), ()
        )
        self._writer = SnapshotWriter(self._site.snapshot_path)
        self._store = BaselineStore(folder / "state")
        self._watch = NodeWatch(self._store, log=Log("text", io.StringIO()), clock=SystemClock())
        # Takes up what an earlier one left; nothing has come yet.
        self._watch.look(self._cluster, self._site)
        self._started_at = time.time()
        self._reports = self._watch.board.nodes.reports.copy()
        self.port = self._watch.port

    def close(self) -> None:
        """End; a second time does nothing."""
        self._watch.close()
        self._writer.close()
        self._store.close()

    def counters(self) -> dict[str, int]:
        """Of the bus and the board."""
        return dict(self._watch.counters())

    def cycle(self, seen: Seen) -> None:
        """One; waits for its end."""
        started = time.monotonic()
        cluster = replace(self._cluster, read_at=time.time())
        judgement = self._watch.look(cluster, self._site)
        plan = plan_cycle(cluster, self._site, judgement)
        self._writer.write(slot_of(plan, cluster, self._site, self._writer.next_generation, time.time()))
        at = time.time()
        self._watch.publish(judgement)
        nodes = self._watch.board.nodes
        before = np.zeros_like(nodes.reports)
        before[: len(self._reports)] = self._reports
        # Of a node that was heard twice within a cycle, the age of the newer report alone is noted.
        seen.ages_s.extend((at - nodes.sent_at[nodes.reports > before]).tolist())
        self._reports = nodes.reports.copy()
        seen.with_findings = max(seen.with_findings, len(judgement.findings))
        took = time.monotonic() - started
        seen.cycles_s.append(took)
        seen.memory_mb.append(resident_mb())
        time.sleep(max(0.0, CYCLE_S - took))

    def watch(self, seconds: float, seen: Seen) -> None:
        """For so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.cycle(seen)

    def until_all_heard(self) -> float:
        """Seconds until the snapshot knew of a report of every node."""
        started = time.monotonic()
        while (heard := self._heard()) < len(self._cluster.nodes):
            if time.monotonic() - started > PATIENCE_S:
                raise RuntimeError(f"{heard} of {len(self._cluster.nodes)} heard: {self.counters()}")
            self.cycle(Seen())
        return time.monotonic() - started

    def _heard(self) -> int:
        return int((self._watch.board.nodes.received_at >= self._started_at).sum())


class Fleet:
    """The processes of agents."""

    def __init__(self, keys: Sequence[NodeKey], port: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._lines, self._processes = [], []
        for part in range(PROCESSES):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(
                target=_agents, args=(theirs, list(keys[part::PROCESSES]), port, part), daemon=True
            )
            process.start()
            self._lines.append(ours)
            self._processes.append(process)

    def stop(self) -> None:
        """End them."""
        for line, process in zip(self._lines, self._processes, strict=True):
            if process.is_alive():
                line.send(None)
        for process in self._processes:
            process.join(30)
            if process.is_alive():
                process.kill()


def _agents(line: Connection, keys: list[NodeKey], port: int, part: int) -> None:
    """Many agents in one process: every socket with an agent's options, beats spread evenly."""
    chance = random.Random(part)  # noqa: S311  jitter
    context = zmq.Context()
    context.max_sockets = len(keys) + 16
    agents = []
    for n, key in enumerate(keys):
        socket = _socket(context, key, chance)
        socket.connect(f"tcp://127.0.0.1:{port}")
        agents.append((socket, Reporter(key.node, chance.getrandbits(62), BEAT_S), n * BEAT_S / len(keys)))
    started, beat, at = time.monotonic(), 0, 0
    while not line.poll(TICK_S):
        now = time.monotonic() - started
        while now >= beat * BEAT_S + agents[at][2]:
            socket, reporter, _ = agents[at]
            if at == 0:
                seen = observed(0, time.monotonic(), beat + 1)
            report = reporter.report(seen, now=time.time(), mono=time.monotonic())
            with suppress(zmq.Again):
                socket.send(report, zmq.NOBLOCK)
            at += 1
            if at == len(agents):
                at, beat = 0, beat + 1
    context.destroy(linger=0)


def _socket(context: zmq.Context[Any], key: NodeKey, chance: random.Random) -> zmq.Socket[bytes]:
    """As hetslurm.bus.sender opens it; not by it, since that has a context and so two threads each."""
    socket = context.socket(zmq.PUSH)
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.CONFLATE, 1),
        (zmq.IMMEDIATE, 1),
        (zmq.RECONNECT_IVL, round(chance.uniform(*RECONNECT_MS))),
        (zmq.RECONNECT_IVL_MAX, RECONNECT_LONGEST_MS),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
    ):
        socket.setsockopt(option, value)
    socket.curve_publickey, socket.curve_secretkey = key.public, key.secret
    socket.curve_serverkey = key.server_public
    return socket


def main() -> None:
    """The command line of the full form."""
    parser = argparse.ArgumentParser(prog="bench.bus_scale", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(json.dumps(measure(options.nodes, options.seconds), indent=2))


if __name__ == "__main__":
    main()
