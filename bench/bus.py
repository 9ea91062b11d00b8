"""bus_ratio: reports a second, from the agent's encoding to the judged board, over raw pyzmq CURVE.

Two processes each: one sends over a CURVE connection a node, the other takes. Raw sends the same bytes again
and again over as many connections and only receives; ours encodes every report anew, checks whose it is,
decodes it, puts it on the board, and judges the board all the while.
"""

from __future__ import annotations

import cProfile
import itertools
import multiprocessing
import pstats
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import zmq

from bench.bus_scene import BEAT_S, NullLog, make_keys, observed
from hetslurm.agent.observed import Observed
from hetslurm.agent.reporter import Reporter
from hetslurm.bus.authority import Authority
from hetslurm.bus.board import Board
from hetslurm.bus.keys import NodeKey
from hetslurm.bus.receiver import Receiver
from hetslurm.bus.wire import decode
from hetslurm.clock import SystemClock
from hetslurm.health.judge import judge
from hetslurm.health.memory import Memory
from hetslurm.site import BusSite, HealthSite

NODES = 256
GPUS = (0, 4)
SECONDS = 4.0
ROUNDS = 3
# The controller judges once in two seconds.
JUDGE_S = 0.5
# Messages in a row over a connection, of both: how often libzmq's threads wake each other is not the point.
BURST = 8
NO_LIMIT = 1 << 30
_NO_FAULT = frozenset({"accepted", "handshakes_ok", "overflow", "lost"})


def measure() -> dict[str, Any]:
    """The record; the headline is of nodes without GPUs, whose reports are the smallest: the hardest case."""
    with tempfile.TemporaryDirectory(prefix="hetslurm-") as folder:
        keys = make_keys(Path(folder) / "keys", NODES)
        sizes = {gpus: _measure_size(Path(folder) / "keys", keys, gpus) for gpus in GPUS}
    head = sizes[GPUS[0]]
    return {
        "name": "bus_ratio",
        "value": head["reports_per_s"],
        "unit": "reports/s",
        "baseline": head["raw_per_s"],
        "ratio": head["ratio"],
        "detail": {f"{gpus}_gpus": figures for gpus, figures in sizes.items()},
    }


def _measure_size(folder: Path, keys: Sequence[NodeKey], gpus: int) -> dict[str, Any]:
    """The best of a few rounds of each, taken in turn, since the machine is not ours alone."""
    message = Reporter(keys[0].node, 1, BEAT_S).report(observed(gpus, 0.0), now=1.0, mono=1.0)
    raw, one, ours, bus = 0.0, 0.0, 0.0, 0.0
    for _ in range(ROUNDS):
        raw = max(raw, _raw(folder, keys, message))
        one = max(one, _raw(folder, keys[:1], message))
        ours = max(ours, _ours(folder, keys, gpus, _board()))
        bus = max(bus, _ours(folder, keys, gpus, len))
    return {
        "message_bytes": len(message),
        "raw_per_s": raw,
        "raw_1_connection_per_s": one,
        "reports_per_s": ours,
        "without_board_per_s": bus,
        "ratio": ours / raw,
        "ratio_to_1_connection": ours / one,
        "us_alone": _alone(gpus, message, len(keys)),
    }


def _raw(folder: Path, keys: Sequence[NodeKey], message: bytes) -> float:
    """Messages a second that a PULL socket receives."""
    server = Authority(folder, SystemClock()).init()[0]
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.curve_server, socket.curve_secretkey = True, server.secret
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    with _Sender(port, keys, None, message):
        for _ in range(10 * len(keys)):
            socket.recv()
        n, started = 0, time.perf_counter()
        while (took := time.perf_counter() - started) < SECONDS:
            for _ in range(1000):
                socket.recv()
            n += 1000
    context.destroy(linger=0)
    return n / took


def _ours(folder: Path, keys: Sequence[NodeKey], gpus: int, take: Callable[[Any], object]) -> float:
    """Reports a second that come out of the receiver and through `take`."""
    site = BusSite(listen="tcp://127.0.0.1:*", keys_dir=str(folder), beat_s=BEAT_S)
    with (
        Receiver(site, NullLog(), reports_per_beat=NO_LIMIT) as receiver,
        _Sender(receiver.port, keys, gpus, b""),
    ):
        n = 0
        while n < 10 * len(keys):
            arrivals = receiver.drain(timeout_s=1.0)
            take(arrivals)
            n += len(arrivals)
        n, started = 0, time.perf_counter()
        while (took := time.perf_counter() - started) < SECONDS:
            arrivals = receiver.drain(timeout_s=1.0)
            take(arrivals)
            n += len(arrivals)
        counts = receiver.counters()
    # What overflows, because the board is slower than the bus, is not counted: only what was taken is.
    dropped = {name: n for name, n in counts.items() if n and name not in _NO_FAULT}
    if dropped:
        raise RuntimeError(f"dropped while measuring: {dropped}")
    return n / took


def _board() -> Callable[[Any], None]:
    """Takes arrivals onto a board that is judged twice a second."""
    board, memory, site = Board(), Memory(time.time()), HealthSite()
    judged_at = time.monotonic()

    def take(arrivals: Any) -> None:
        nonlocal judged_at
        board.take(arrivals)
        if time.monotonic() - judged_at >= JUDGE_S:
            judge(board, memory, site, time.time())
            judged_at = time.monotonic()

    return take


class _Sender:
    """A process that sends as fast as it is let: `message`, or with `gpus` every node's own reports."""

    def __init__(self, port: int, keys: Sequence[NodeKey], gpus: int | None, message: bytes) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._stop, theirs = spawn.Pipe()
        self._process = spawn.Process(
            target=_send, args=(theirs, port, list(keys), gpus, message), daemon=True
        )

    def __enter__(self) -> None:
        self._process.start()

    def __exit__(self, *_: object) -> None:
        self._stop.send(None)
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()


def _send(stop: Connection, port: int, keys: list[NodeKey], gpus: int | None, message: bytes) -> None:
    context = zmq.Context()
    context.max_sockets = len(keys) + 16
    sockets = []
    for key in keys:
        socket = context.socket(zmq.PUSH)
        socket.linger, socket.sndtimeo = 0, 1000
        socket.curve_publickey, socket.curve_secretkey = key.public, key.secret
        socket.curve_serverkey = key.server_public
        socket.connect(f"tcp://127.0.0.1:{port}")
        sockets.append(socket)
    stopping = threading.Event()
    threading.Thread(target=lambda: (stop.recv(), stopping.set()), daemon=True).start()
    reporters = [Reporter(key.node, 1 + n, BEAT_S) for n, key in enumerate(keys)]
    try:
        for turn in itertools.count():
            samples = [observed(gpus or 0, time.monotonic(), turn * BURST + n + 1) for n in range(BURST)]
            for socket, reporter in zip(sockets, reporters, strict=True):
                for one in [message] * BURST if gpus is None else _burst(reporter, samples):
                    socket.send(one)
            if stopping.is_set():
                break
    except zmq.Again:
        pass
    context.destroy(linger=0)


def _burst(reporter: Reporter, samples: list[list[Observed]]) -> list[bytes]:
    """Reports of one node, each with newer samples of all probes than the one before."""
    return [reporter.report(seen, now=time.time(), mono=time.monotonic()) for seen in samples]


def _alone(gpus: int, message: bytes, nodes: int) -> dict[str, float]:
    """Microseconds a report of each step by itself, in one thread: where the time goes."""
    from hetslurm.bus.receiver import Arrival

    seen = observed(gpus, 0.0)
    reporter = Reporter("node00000", 1, BEAT_S)
    board, memory, site = Board(), Memory(0.0), HealthSite()
    makers = [Reporter(f"node{n:05d}", 1, BEAT_S) for n in range(nodes)]
    beats = []
    for beat in range(1, 21):
        at, newer = float(beat), observed(gpus, float(beat), beat)
        beats.append([Arrival(at, at, decode(maker.report(newer, now=at, mono=at)), 0) for maker in makers])
    rounds = iter(beats)
    per_beat = _us(lambda: board.take(next(rounds)), len(beats)) / nodes
    return {
        "encode": _us(lambda: reporter.report(seen, now=1.0, mono=1.0), 2000),
        "decode": _us(lambda: decode(message), 2000),
        "board": per_beat,
        "judge_all_nodes": _us(lambda: judge(board, memory, site, 30.0), 5),
    }


def _us(work: Callable[[], object], n: int) -> float:
    """Microseconds of the median call."""
    times = []
    for _ in range(n):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return sorted(times)[n // 2] * 1e6


def profile() -> None:
    """`python -c 'import bench.bus; bench.bus.profile()'`: the board's thread under cProfile."""
    with tempfile.TemporaryDirectory(prefix="hetslurm-") as folder:
        keys = make_keys(Path(folder) / "keys", NODES)
        profiler = cProfile.Profile()
        print(profiler.runcall(_ours, Path(folder) / "keys", keys, 0, _board()))
        pstats.Stats(profiler).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    profile()
