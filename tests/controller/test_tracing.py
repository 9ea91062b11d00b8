"""A trace of every job, as a real OTLP/HTTP receiver gets it."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from hetslurm.clock import FixedClock
from hetslurm.controller import tracing as tracing_module
from hetslurm.controller.decisions import JobKey
from hetslurm.controller.event import Event, What
from hetslurm.controller.events import EventLog
from hetslurm.controller.tracing import MISSING, Tracing, trace_id
from hetslurm.daemon.log import Log
from hetslurm.sandbox import Sandbox

NOW = 1_000_000.0
KEY = JobKey(17, int(NOW))
ABOUT: dict[str, object] = {"user": "ann", "app": "align"}
PATH = [
    Event(KEY, NOW, What.SUBMITTED, "", "", ABOUT),
    Event(KEY, NOW, What.PLACED, "scored best", "", ABOUT | {"pool": "gpu", "target": "gpu:a100:1"}),
    Event(KEY, NOW + 60, What.MOVED, "done 5m sooner", "", {"pool": "cpu", "target": "cpu", "gain_s": 300.0}),
    Event(KEY, NOW + 90, What.STARTED, "", "", ABOUT | {"nodes": ["c1"]}),
    Event(KEY, NOW + 290, What.FINISHED, "failed", "", ABOUT | {"state": "FAILED", "run_s": 200.0}),
]


@dataclass
class Receiver:
    """An OTLP/HTTP receiver on loopback: every span that came, by name."""

    port: int = 0
    resources: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    came: Condition = field(default_factory=Condition)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def wait_for(self, count: int) -> dict[str, Any]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.spans) >= count, timeout=20), self.spans
        return {span.name: span for span in self.spans}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    got = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            request = ExportTraceServiceRequest.FromString(body)
            with got.came:
                for group in request.resource_spans:
                    got.resources.append(_attributes(group.resource.attributes))
                    got.spans += [span for scope in group.scope_spans for span in scope.spans]
                got.came.notify_all()
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield got
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def start(tmp_path: Path, said: io.StringIO) -> Iterator[Callable[[str], tuple[EventLog, Tracing]]]:
    """`start(endpoint)`: an event log that tells a Tracing; started again, the old is closed."""
    clock = FixedClock(NOW + 1000)
    log = Log("json", said, clock)
    open_: list[tuple[EventLog, Tracing]] = []

    def close() -> None:
        while open_:
            events, tracing = open_.pop()
            tracing.close()
            events.close()

    def begin(endpoint: str) -> tuple[EventLog, Tracing]:
        close()
        events = EventLog(tmp_path, log=log, clock=clock)
        tracing = Tracing(events.of, log=log)
        tracing.follow(endpoint, "cluster")
        events.listeners.append(tracing.take)
        open_.append((events, tracing))
        return events, tracing

    yield begin
    close()


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def test_a_job_is_one_trace_of_its_steps_below_its_whole_life(
    receiver: Receiver, start: Callable[[str], tuple[EventLog, Tracing]]
) -> None:
    events, tracing = start(receiver.endpoint)
    for event in PATH:
        events.add([event])
    spans = receiver.wait_for(6)

    assert {span.trace_id for span in spans.values()} == {trace_id("cluster", KEY).to_bytes(16, "big")}
    root = spans["job"]
    assert root.parent_span_id == b""
    steps = {name: span for name, span in spans.items() if name != "job"}
    assert set(steps) == {"submitted", "placed", "moved", "started", "finished"}
    assert {span.parent_span_id for span in steps.values()} == {root.span_id}
    times = {
        n: (s.start_time_unix_nano / 1e9 - NOW, s.end_time_unix_nano / 1e9 - NOW) for n, s in spans.items()
    }
    assert times == {
        "job": (0, 290),
        "submitted": (0, 0),
        "placed": (0, 60),
        "moved": (60, 90),
        "started": (90, 290),
        "finished": (290, 290),
    }
    told = _attributes(root.attributes)
    assert told["hetslurm.job_id"] == 17
    assert (told["hetslurm.user"], told["hetslurm.app"], told["hetslurm.pool"]) == ("ann", "align", "cpu")
    assert _attributes(spans["moved"].attributes)["hetslurm.gain_s"] == 300
    assert root.status.message == "FAILED"
    assert receiver.resources[0]["service.name"] == "hetslurm"
    assert receiver.resources[0]["hetslurm.cluster"] == "cluster"
    _until(lambda: tracing.facts.sent == 6)
    assert tracing.facts.lost == 0


def test_a_controller_that_starts_again_goes_on_with_the_same_trace(
    receiver: Receiver, start: Callable[[str], tuple[EventLog, Tracing]]
) -> None:
    events, _ = start(receiver.endpoint)
    events.add(PATH[:3])
    receiver.wait_for(2)
    events, _ = start(receiver.endpoint)
    events.add(PATH[3:])
    spans = receiver.wait_for(6)
    assert len({span.trace_id for span in spans.values()}) == 1
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans) == 6
    assert spans["moved"].end_time_unix_nano / 1e9 == NOW + 90


def test_an_endpoint_that_is_down_costs_traces_alone_and_is_counted(
    receiver: Receiver, start: Callable[[str], tuple[EventLog, Tracing]], said: io.StringIO
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_address[1]
    events, tracing = start(f"http://127.0.0.1:{port}/v1/traces")
    begun = time.monotonic()
    for event in PATH:
        events.add([event])
    assert time.monotonic() - begun < 1
    _until(lambda: tracing.facts.lost == 6)
    assert said.getvalue().count("traces lost") == 1
    assert len(events.of(17)) == 5
    tracing.follow(receiver.endpoint, "cluster")
    again = JobKey(18, int(NOW))
    events.add([Event(again, NOW, What.SUBMITTED), Event(again, NOW + 1, What.PLACED)])
    assert "submitted" in receiver.wait_for(1)


def test_more_than_fits_is_lost_and_counted_and_nobody_waits(
    start: Callable[[str], tuple[EventLog, Tracing]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing_module, "SPANS_WAITING", 10)
    events, tracing = start("http://127.0.0.1:9/v1/traces")
    for number in range(100):
        key = JobKey(number, int(NOW))
        events.add([Event(key, NOW, What.SUBMITTED), Event(key, NOW + 1, What.PLACED)])
    _until(lambda: tracing.facts.lost >= 90)


def test_it_is_off_by_default_and_then_loads_nothing() -> None:
    code = (
        "import hetslurm.controller.loop, sys; print(any(m.startswith('opentelemetry') for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_the_extra_an_endpoint_is_an_error_that_says_what_to_do(
    start: Callable[[str], tuple[EventLog, Tracing]],
    said: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from hetslurm.cli.check import check_file

    monkeypatch.setattr(tracing_module, "is_installed", lambda: False)
    events, tracing = start("http://127.0.0.1:9/v1/traces")
    events.add(PATH)
    assert tracing.facts.error == MISSING
    assert "pip install 'hetslurm[trace]'" in json.loads(said.getvalue().splitlines()[0])["why"]
    config = tmp_path / "hetslurm.toml"
    config.write_text('[trace]\nendpoint = "http://127.0.0.1:4318/v1/traces"\n')
    assert "hetslurm[trace]" in check_file(str(config))[0][0].message


@pytest.mark.slurm
def test_a_job_on_a_real_slurm_has_its_path_and_its_trace(
    receiver: Receiver, make_sandbox: Callable[..., Sandbox]
) -> None:
    toml = f'[trace]\nendpoint = "{receiver.endpoint}"\n'
    sandbox = make_sandbox(nodes="cpu=1,gpu:a100=1", config_toml=toml)
    script = "#!/bin/sh\n#HET app=align\n#HET target=cpu cpus=1 mem=100M time=5\nsleep 3\nexit 3\n"
    job_id = sandbox.submit(script, "-o", "/dev/null")
    sandbox.wait_job(job_id)
    with receiver.came:
        assert receiver.came.wait_for(lambda: any(s.name == "job" for s in receiver.spans), timeout=60)
    spans = {span.name: span for span in receiver.spans}
    assert {"submitted", "placed", "started", "finished", "job"} <= set(spans)
    told = _attributes(spans["job"].attributes)
    assert (told["hetslurm.job_id"], told["hetslurm.app"], told["hetslurm.target"]) == (
        job_id,
        "align",
        "cpu",
    )
    assert spans["job"].status.message == "FAILED"
    report = json.loads(
        sandbox.run([sys.executable, "-P", "-m", "hetslurm", "explain", str(job_id), "--json"]).stdout
    )
    path = report["path"]
    assert [step["what"] for step in path] == ["submitted", "placed", "started", "finished"]
    assert path[2]["facts"]["nodes"] == ["cpu1"]
    assert [step["at"] for step in path] == sorted(step["at"] for step in path)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
