"""bus_scale: thousands of agents on one receiver: age of reports when judged, memory, a reconnect storm.

Every agent has its own key and CURVE connection and sends the real wire form on its beat; they share a few
processes. The full form: `python -m bench.bus_scale --nodes 10000 --seconds 600`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import zmq

from bench.bus_scene import BEAT_S, NullLog, make_keys, observed, quantile, resident_mb
from hetslurm.agent.reporter import Reporter
from hetslurm.bus.board import Board
from hetslurm.bus.keys import NodeKey
from hetslurm.bus.receiver import Arrival, Receiver
from hetslurm.bus.sender import HANDSHAKE_MS, RECONNECT_LONGEST_MS, RECONNECT_MS
from hetslurm.health.judge import judge
from hetslurm.health.memory import Memory
from hetslurm.site import BusSite, HealthSite

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
    reports: int = 0


def measure(nodes: int = 1000, seconds: float = 20.0) -> dict[str, Any]:
    """The record; the baseline is the goal: two beats."""
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-", dir=base) as folder:
        detail = _run(Path(folder) / "keys", nodes, seconds)
    return {
        "name": "bus_scale",
        "value": detail["age_p99_s"],
        "unit": "s",
        "baseline": 2 * BEAT_S,
        "ratio": detail["age_p99_s"] / (2 * BEAT_S),
        "detail": detail,
    }


def _run(folder: Path, nodes: int, seconds: float) -> dict[str, Any]:
    keys = make_keys(folder, nodes)
    site = BusSite(listen="tcp://127.0.0.1:*", keys_dir=str(folder), beat_s=BEAT_S)
    board = Board()
    judged = Controller(board, Memory(time.time()))
    receiver = Receiver(site, NullLog())
    receiver.start()
    again = BusSite(f"tcp://127.0.0.1:{receiver.port}", keys_dir=str(folder), beat_s=BEAT_S)
    fleet = Fleet(keys, receiver.port)
    try:
        first_s = judged.until_all_heard(receiver, nodes)
        judged.watch(receiver, 2 * BEAT_S, Seen())
        steady, storm = Seen(), Seen()
        lost = judged.lost()
        judged.watch(receiver, seconds, steady)
        lost = judged.lost() - lost
        counts = receiver.counters()
        receiver.stop()
        time.sleep(DOWN_S)
        receiver = Receiver(again, NullLog())
        receiver.start()
        storm_s = judged.until_all_heard(receiver, nodes)
        judged.watch(receiver, 2 * BEAT_S, storm)
        return {
            "nodes": nodes,
            "beat_s": BEAT_S,
            "seconds": seconds,
            "first_connect_s": first_s,
            "age_p50_s": quantile(steady.ages_s, 0.5),
            "age_p99_s": quantile(steady.ages_s, 0.99),
            "age_max_s": max(steady.ages_s),
            "reports_judged": steady.reports,
            "reports_lost": lost,
            "cycle_p99_s": quantile(steady.cycles_s, 0.99),
            "memory_mb": _tenths(steady.memory_mb),
            "storm_settled_s": storm_s,
            "storm_age_p99_s": quantile(storm.ages_s, 0.99),
            "storm_counters": {name: n for name, n in receiver.counters().items() if n},
            "counters": {name: n for name, n in counts.items() if n},
        }
    finally:
        fleet.stop()
        receiver.stop()


def _tenths(values: Sequence[float]) -> list[float]:
    """At the beginning, at each tenth, and at the end."""
    return [round(values[(len(values) - 1) * n // 10], 1) for n in range(11)]


class Controller:
    """Takes and judges once a cycle, as the controller does."""

    def __init__(self, board: Board, memory: Memory) -> None:
        self._board = board
        self._memory = memory

    def cycle(self, receiver: Receiver, seen: Seen) -> list[Arrival]:
        """One; waits for its end."""
        started = time.monotonic()
        arrivals = receiver.drain()
        self._board.take(arrivals)
        judge(self._board, self._memory, HealthSite(), time.time())
        at = time.time()
        seen.ages_s.extend(at - arrival.report.sent_at for arrival in arrivals)
        seen.reports += len(arrivals)
        took = time.monotonic() - started
        seen.cycles_s.append(took)
        seen.memory_mb.append(resident_mb())
        time.sleep(max(0.0, CYCLE_S - took))
        return arrivals

    def watch(self, receiver: Receiver, seconds: float, seen: Seen) -> None:
        """For so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.cycle(receiver, seen)

    def lost(self) -> int:
        """Reports that never came, by the gaps in every agent's numbers."""
        return int(self._board.nodes.lost.sum())

    def until_all_heard(self, receiver: Receiver, nodes: int) -> float:
        """Seconds until every node was heard and judged."""
        started, heard = time.monotonic(), set()
        while len(heard) < nodes:
            heard |= {arrival.report.node for arrival in self.cycle(receiver, Seen())}
            if time.monotonic() - started > PATIENCE_S:
                raise RuntimeError(f"{len(heard)} of {nodes} heard: {receiver.counters()}")
        return time.monotonic() - started


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
    seen = observed(0, time.monotonic())
    started, beat, at = time.monotonic(), 0, 0
    while not line.poll(TICK_S):
        now = time.monotonic() - started
        while now >= beat * BEAT_S + agents[at][2]:
            socket, reporter, _ = agents[at]
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
