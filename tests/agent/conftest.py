"""Probes that misbehave, a nursery of theirs, sockets that must not be left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from select import select
from threading import Thread

import pytest
import zmq

from hetslurm.agent.child import Opener
from hetslurm.agent.frames import Task
from hetslurm.agent.nursery import Nursery
from hetslurm.agent.runner import Run, Runner
from hetslurm.bus.keys import NodeKey, ServerKey, make_pair, write_node_key
from hetslurm.clock import SystemClock
from hetslurm.site import AgentSite
from hetslurm.telemetry import Probe, ProbeState, Row, Sample

PATIENCE_S = 30.0
FOREVER_S = 3600.0


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition, and fail when it never comes true."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"waited {patience_s} s in vain for {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """A process that is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Scripted:
    """A probe "host" that does in its child what a function says."""

    name = "host"

    def __init__(self, sample: Callable[[], Sample], measure: Callable[[], Sample] | None = None) -> None:
        self.sample = sample
        self.measure = measure or sample

    def close(self) -> None:
        """Nothing is held."""


def scripted(
    sample: Callable[[], object], measure: Callable[[], object] | None = None
) -> Mapping[str, Opener]:
    """Openers of one probe, "host"."""

    def open_it(agent: AgentSite) -> Probe:
        return Scripted(sample, measure)  # type: ignore[arg-type]

    return {"host": open_it}


def good(**values: float) -> Sample:
    """A sample of one row."""
    return Sample("host", ProbeState.OK, (Row(values, {"id": "me"}),))


def hang() -> Sample:
    """Never come back, whatever signal is sent that can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(FOREVER_S)


def tells_pid(sample: Callable[[], Sample], file: Path) -> Callable[[], Sample]:
    """The same, after it wrote down the number of its process."""

    def tell() -> Sample:
        with file.open("a") as out:
            out.write(f"{os.getpid()}\n")
        return sample()

    return tell


def run_to_end(
    runner: Runner, nursery: Nursery, task: Task = "sample", deadline_s: float = PATIENCE_S
) -> Run:
    """Ask, and wait for how it ends."""
    clock = SystemClock()
    runner.ask(task, deadline_s)
    end = time.monotonic() + deadline_s + PATIENCE_S
    while time.monotonic() < end:
        lines = [line for line in (runner.line, nursery) if line is not None]
        select(lines, [], [], max(0.0, (runner.due_at() or 0.0) - clock.monotonic()))
        if run := runner.hear():
            return run
        for ended in nursery.take():
            if ended.child == runner.child and (run := runner.gone(ended.how)):
                return run
        if run := runner.overdue():
            return run
    raise AssertionError("the run never ended")


@pytest.fixture
def make_nursery() -> Iterator[Callable[..., Nursery]]:
    """`make_nursery(openers)`; all end with the test."""
    made: list[Nursery] = []

    def make(openers: Mapping[str, Opener], kind: type[Nursery] = Nursery) -> Nursery:
        made.append(kind(openers))
        return made[-1]

    yield make
    for nursery in made:
        nursery.close()


@pytest.fixture
def make_runner(make_nursery: Callable[..., Nursery]) -> Iterator[Callable[..., tuple[Runner, Nursery]]]:
    """`make_runner(sample)`: a runner of a probe that does that."""

    def make(
        sample: Callable[[], object], kind: type[Nursery] = Nursery, agent: AgentSite | None = None
    ) -> tuple[Runner, Nursery]:
        nursery = make_nursery(scripted(sample), kind)
        made.append(Runner("host", agent or AgentSite(), nursery, SystemClock()))
        return made[-1], nursery

    made: list[Runner] = []
    yield make
    for runner in made:
        runner.stop()


class Hub:
    """A controller's end on loopback, with CURVE: listens, stops, listens again at the same port."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._context = context
        self._socket: zmq.Socket[bytes] | None = None
        self.server = make_pair()
        self.port = 0

    def listen(self, server: ServerKey | None = None) -> None:
        key = server or self.server
        socket = self._context.socket(zmq.PULL)
        socket.linger = 0
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, key.secret)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, key.public)
        socket.setsockopt(zmq.ZAP_DOMAIN, b"test")
        socket.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        if self.port:
            until(lambda: _binds(socket, self.port), "the port")
        else:
            self.port = socket.bind_to_random_port("tcp://127.0.0.1")
        self._socket = socket

    @property
    def endpoint(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def node_key(self, node: str = "n1") -> NodeKey:
        """A key of a node that knows this hub."""
        pair = make_pair()
        return NodeKey(node, pair.public, pair.secret, self.server.public)

    def take(self) -> bytes:
        """The next message."""
        assert self._socket is not None
        return self._socket.recv()

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.close(0)
        self._socket = None


def _binds(socket: zmq.Socket[bytes], port: int) -> bool:
    try:
        socket.bind(f"tcp://127.0.0.1:{port}")
    except zmq.ZMQError:
        return False
    return True


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context whose sockets have to be closed by the end of the test."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    end = Thread(target=context.term, daemon=True)
    end.start()
    end.join(10.0)
    assert not end.is_alive(), "a socket was left open"


@pytest.fixture
def hub(context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[Hub]:
    """A controller's end that listens."""
    hub = Hub(context)
    hub.listen()
    yield hub
    hub.stop()


class AgentProcess:
    """`python -m hetslurm.agent` with its folder; killed at the end whatever happens."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self._log.read_text()

    def said(self, text: str) -> bool:
        return text in self.log()

    def family(self) -> list[int]:
        """The agent, its nursery, its children."""
        pids, known = [self.pid], [self.pid]
        while pids:
            found = Path(f"/proc/{pids.pop()}/task").glob("*/children")
            fresh = [int(pid) for file in found for pid in file.read_text().split()]
            pids += fresh
            known += fresh
        return known


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """`start_agent(hub, toml=…, words=…)`: an agent of node n1, as the command line starts it."""
    started: list[AgentProcess] = []

    def start(hub: Hub, *words: str, toml: str = "", agent: str = "", beat_s: float = 0.1) -> AgentProcess:
        write_config(tmp_path, hub, toml=toml, agent=agent, beat_s=beat_s)
        write_node_key(tmp_path / "node.key", hub.node_key())
        log = tmp_path / f"log{len(started)}"
        command = [sys.executable, "-P", "-m", "hetslurm.agent", "--config", str(tmp_path / "hetslurm.toml")]
        with log.open("w") as out:
            process = subprocess.Popen([*command, "--node", "n1", *words], stderr=out)
        started.append(AgentProcess(process, log))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def write_config(folder: Path, hub: Hub, *, toml: str = "", agent: str = "", beat_s: float = 0.1) -> None:
    """hetslurm.toml of a node whose hub this is."""
    (folder / "hetslurm.toml").write_text(
        f'[bus]\nconnect = ["{hub.endpoint}"]\nkeys_dir = "{folder}"\nbeat_s = {beat_s}\n'
        f"[agent]\n{agent}\n{toml}\n"
    )
