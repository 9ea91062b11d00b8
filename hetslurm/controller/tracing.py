"""An OpenTelemetry trace of every job, over OTLP/HTTP: off until [trace] endpoint is set.

Every step of a job's path becomes a span that lasts until the next step, below a root span from submit to
end. Ids come from cluster, job id and submit time, so that a controller that starts again goes on with the
same trace. All work is done in threads of its own; what an endpoint that is down does not take is lost, and
counted.
"""

from __future__ import annotations

import hashlib
import logging
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, cast

from hetslurm.controller.decisions import JobKey
from hetslurm.controller.event import Event, What
from hetslurm.daemon.log import Log

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

MISSING = "traces need OpenTelemetry's SDK: pip install 'hetslurm[trace]', or leave [trace] endpoint empty"
# Events that wait for the thread, spans that wait for the endpoint.
EVENTS_WAITING = 20_000
SPANS_WAITING = 8_192
BATCH_SPANS = 512
BATCH_EVERY_MS = 1_000
EXPORT_DEADLINE_S = 5.0
CLOSE_S = 3.0
# Lives whose last step is remembered; of others, it is read from the store.
LIVES_KEPT = 50_000

Path = Callable[[int], Sequence[Event]]


@dataclass(frozen=True, slots=True)
class TraceFacts:
    """How tracing stands: spans sent and lost since the start; `error` is the newest trouble."""

    endpoint: str = ""
    sent: int = 0
    lost: int = 0
    error: str = ""


def is_installed() -> bool:
    """Whether the extra `trace` is there."""
    from importlib.util import find_spec  # noqa: PLC0415

    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None and (
            find_spec("opentelemetry.sdk.trace") is not None
        )
    except ModuleNotFoundError:
        return False


def trace_id(cluster: str, key: JobKey) -> int:
    """128 bits, the same for the same job for good."""
    return _digest(16, cluster, key.job_id, key.submit_at)


def span_id(trace: int, *step: object) -> int:
    """64 bits, the same for the same step of the same trace."""
    return _digest(8, trace, *step)


def _digest(size: int, *words: object) -> int:
    text = "\0".join(str(word) for word in words)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1


class Tracing:
    """Takes events from any thread; `follow` tells it where to send them."""

    def __init__(self, path: Path, *, log: Log) -> None:
        self._path = path
        self._log = log
        self._lock = Lock()
        self._sender: _Sender | None = None
        self._endpoint = ""
        self.facts = TraceFacts()

    def follow(self, endpoint: str, cluster: str) -> None:
        """Begin, end or go elsewhere, as the configuration says now."""
        if endpoint == self._endpoint:
            return
        self.close()
        self._endpoint = endpoint
        if not endpoint:
            return
        if not is_installed():
            self.facts = replace(self.facts, endpoint=endpoint, error=MISSING)
            self._log.error("no traces", why=MISSING)
            return
        self.facts = TraceFacts(endpoint)
        with self._lock:
            self._sender = _Sender(endpoint, cluster, self._path, self)
        self._log.info("traces go out", endpoint=endpoint)

    def take(self, events: Sequence[Event]) -> None:
        """Events to tell of; never waits."""
        with self._lock:
            if self._sender is not None:
                self._sender.take(events)

    def close(self) -> None:
        """Send what there is time for, and stop."""
        with self._lock:
            sender, self._sender = self._sender, None
        self._endpoint = ""
        if sender is not None:
            sender.close()

    def sent(self, count: int) -> None:
        """The endpoint took this many spans."""
        if self.facts.error:
            self._log.info("traces go out again", endpoint=self.facts.endpoint)
        self.facts = replace(self.facts, sent=self.facts.sent + count, error="")

    def lost(self, count: int, why: str) -> None:
        """This many spans (or steps) went nowhere."""
        if not self.facts.error:
            self._log.warning("traces lost", endpoint=self.facts.endpoint, why=why)
        self.facts = replace(self.facts, lost=self.facts.lost + count, error=why)


class _Sender:
    """One endpoint, and the thread that makes spans of events."""

    def __init__(self, endpoint: str, cluster: str, path: Path, owner: Tracing) -> None:
        self._endpoint = endpoint
        self._cluster = cluster
        self._path = path
        self._owner = owner
        self._events: queue.Queue[Event | None] = queue.Queue(EVENTS_WAITING)
        self._last: dict[JobKey, Event] = {}
        self._begun: dict[int, JobKey] = {}
        self._flying = 0
        self._lock = Lock()
        self._ids = (0, 0)
        self._thread = Thread(target=self._work, name="hetslurm-tracing", daemon=True)
        self._thread.start()

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            try:
                self._events.put_nowait(event)
            except queue.Full:
                self._owner.lost(1, "more happens than can be told")

    def close(self) -> None:
        try:
            self._events.put_nowait(None)
        except queue.Full:
            self._events.get_nowait()
            self._events.put_nowait(None)
        self._thread.join(CLOSE_S)

    def exported(self, spans: int, *, fine: bool) -> None:
        """What became of a batch; called by the SDK's thread."""
        with self._lock:
            self._flying -= spans
        if fine:
            self._owner.sent(spans)
        else:
            self._owner.lost(spans, f"{self._endpoint} takes none")

    def _work(self) -> None:
        try:
            provider = _provider(self, self._endpoint, self._cluster)
        except Exception as error:  # a library of someone else's that does not start is no reason to end
            self._owner.lost(0, f"{type(error).__name__}: {error}")
            return
        while (event := self._events.get()) is not None:
            try:
                for span in self._spans_of(event):
                    self._send(provider, span)
            except Exception as error:  # nor is one odd event
                self._owner.lost(1, f"{type(error).__name__}: {error}")
        provider.shutdown()

    def _spans_of(self, event: Event) -> Iterator[_Step]:
        key = self._life(event)
        trace = trace_id(self._cluster, key)
        before = self._last.get(key)
        if before is not None and before.at <= event.at:
            yield _step(trace, before, event.at, {})
        if event.what is not What.FINISHED:
            self._last[key] = event
            while len(self._last) > LIVES_KEPT:
                self._begun.pop(next(iter(self._last)).job_id, None)
                self._last.pop(next(iter(self._last)))
            return
        yield _step(trace, event, event.at, {})
        self._last.pop(key, None)
        self._begun.pop(key.job_id, None)
        root = _step(trace, event, event.at, _newest(self._path(key.job_id), key.job_id))
        yield replace(root, name="job", span=span_id(trace, "job"), parent=0, begun_at=float(key.submit_at))

    def _life(self, event: Event) -> JobKey:
        """The life that a step belongs to: a requeued job's submit time is another than its first."""
        job_id = event.key.job_id
        if event.what is What.SUBMITTED:
            self._begun[job_id] = event.key
            self._last.pop(event.key, None)
        elif job_id not in self._begun:
            # Another controller saw its begin: go on with its trace.
            path = [step for step in self._path(job_id) if step.key.job_id == job_id]
            first = next((step for step in path if step.what is What.SUBMITTED), event)
            self._begun[job_id] = first.key
            earlier = [step for step in path if (step.at, step.what) < (event.at, event.what)]
            if earlier:
                self._last[first.key] = earlier[-1]
        return self._begun[job_id]

    def _send(self, provider: TracerProvider, step: _Step) -> None:
        from opentelemetry import trace as api  # noqa: PLC0415

        with self._lock:
            if self._flying >= SPANS_WAITING:
                full = True
            else:
                full = False
                self._flying += 1
        if full:
            self._owner.lost(1, f"{self._endpoint} is slower than jobs are")
            return
        self._ids = (step.trace, step.span)
        context = None
        if step.parent:
            flags = api.TraceFlags(api.TraceFlags.SAMPLED)
            parent = api.SpanContext(step.trace, step.parent, is_remote=False, trace_flags=flags)
            context = api.set_span_in_context(api.NonRecordingSpan(parent))
        begin, end = round(step.begun_at * 1e9), round(max(step.ended_at, step.begun_at) * 1e9)
        span = provider.get_tracer("hetslurm").start_span(
            step.name, context=context, start_time=begin, attributes=step.attributes
        )
        if step.failed:
            span.set_status(api.Status(api.StatusCode.ERROR, step.failed))
        span.end(end)

    def generate_trace_id(self) -> int:
        """The SDK asks for the ids of the span that begins."""
        return self._ids[0]

    def generate_span_id(self) -> int:
        """As above."""
        return self._ids[1]

    def is_trace_id_random(self) -> bool:
        """Digests are as good as random."""
        return False


@dataclass(frozen=True, slots=True)
class _Step:
    """A span to be. Times are Unix seconds; `failed` says how the job failed, "" when it did not."""

    trace: int
    span: int
    parent: int
    name: str
    begun_at: float
    ended_at: float
    attributes: dict[str, Any]
    failed: str = ""


def _step(trace: int, event: Event, ended_at: float, more: dict[str, object]) -> _Step:
    facts: dict[str, object] = {**more, **event.facts}
    attributes: dict[str, Any] = {"hetslurm.job_id": event.key.job_id}
    if event.task:
        attributes["hetslurm.task"] = event.task
    if event.why:
        attributes["hetslurm.why"] = event.why
    attributes |= {
        f"hetslurm.{key}": told for key, value in facts.items() if (told := _plain(value)) is not None
    }
    state = str(event.facts.get("state", ""))
    failed = state if event.what is What.FINISHED and state not in ("COMPLETED", "") else ""
    span = span_id(trace, event.what, repr(event.at))
    parent = span_id(trace, "job")
    return _Step(trace, span, parent, str(event.what), event.at, ended_at, attributes, failed)


def _newest(path: Sequence[Event], job_id: int) -> dict[str, object]:
    """What was true of the job in the end: each fact as it was told last."""
    facts: dict[str, object] = {}
    for event in path:
        if event.key.job_id == job_id:
            facts |= event.facts
    return facts


def _plain(value: object) -> str | bool | int | float | list[str] | None:
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    return None


def _provider(sender: _Sender, endpoint: str, cluster: str) -> TracerProvider:
    """The SDK, loaded only here."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )
    from opentelemetry.sdk.trace.id_generator import IdGenerator  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    # We tell of failures ourselves, once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    class Counted(SpanExporter):
        """The exporter, and what became of each batch."""

        def __init__(self) -> None:
            self._inner = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_DEADLINE_S)

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            try:
                result = self._inner.export(spans)
            except Exception:
                sender.exported(len(spans), fine=False)
                raise
            sender.exported(len(spans), fine=result is SpanExportResult.SUCCESS)
            return result

        def shutdown(self) -> None:
            self._inner.shutdown()  # type: ignore[no-untyped-call]

    resource = Resource({"service.name": "hetslurm", "hetslurm.cluster": cluster})
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=resource,
        shutdown_on_exit=False,
        id_generator=cast(IdGenerator, sender),  # it has the methods
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            Counted(),
            max_queue_size=SPANS_WAITING,
            schedule_delay_millis=BATCH_EVERY_MS,
            max_export_batch_size=min(BATCH_SPANS, SPANS_WAITING),
        )
    )
    return provider
