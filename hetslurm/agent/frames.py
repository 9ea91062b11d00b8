"""What the agent and a probe's child say to each other over their socket.

A frame is its length (4 bytes, little-endian) and msgpack. The child is not trusted: it runs vendors'
libraries.
"""

from __future__ import annotations

import struct
from typing import Literal

import msgspec

from hetslurm.site import AgentSite
from hetslurm.telemetry import PROBES, ProbeState, Row, Sample

# An answer with 256 devices, facts and all, is well below.
MAX_FRAME = 1 << 20
_HEAD = struct.Struct("<I")

Task = Literal["sample", "measure"]


class FrameError(ValueError):
    """Bytes that are no answer."""


class Opening(msgspec.Struct, array_like=True, frozen=True):
    """The first thing that a child is told: what it is."""

    probe: str
    agent: AgentSite


class Request(msgspec.Struct, array_like=True, frozen=True):
    """One run. `number` comes back in the answer."""

    number: int
    task: Task


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """How a run ended; a row is (values, facts)."""

    number: int
    took_s: float
    state: int
    message: str
    rows: list[tuple[dict[str, float], dict[str, str]]]


_answers = msgspec.msgpack.Decoder(Answer)


def pack(frame: Opening | Request | Answer) -> bytes:
    """A frame as it is sent."""
    body = msgspec.msgpack.encode(frame)
    return _HEAD.pack(len(body)) + body


def answer_of(number: int, took_s: float, sample: Sample) -> Answer:
    """A sample as it is answered."""
    rows = [(dict(row.values), dict(row.facts)) for row in sample.rows]
    return Answer(number, took_s, int(sample.state), sample.message, rows)


def sample_of(answer: Answer, probe: str) -> Sample:
    """The sample of an answer. Raises FrameError where it cannot be one."""
    if probe not in PROBES or answer.state not in (ProbeState.OK, ProbeState.ABSENT, ProbeState.FAILED):
        raise FrameError(f"state {answer.state} is none that a probe may answer")
    if not 0 <= answer.took_s < float("inf"):
        raise FrameError("a duration that cannot be")
    rows = tuple(Row(values, facts) for values, facts in answer.rows)
    return Sample(probe, ProbeState(answer.state), rows, answer.message)


class Reader:
    """Gathers one answer from pieces, and never more than one."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes, number: int | None) -> Answer | None:
        """The answer to request `number` (None: there is none) once it is whole.

        Raises FrameError at what is too long, too much, unreadable, or no answer to that.
        """
        if number is None:
            raise FrameError("an answer that nobody asked for")
        self._buffer += piece
        if len(self._buffer) < _HEAD.size:
            return None
        (size,) = _HEAD.unpack_from(self._buffer)
        if size > MAX_FRAME:
            raise FrameError(f"an answer of {size} bytes, at most {MAX_FRAME}")
        end = _HEAD.size + size
        if len(self._buffer) < end:
            return None
        if len(self._buffer) > end:
            raise FrameError("more than one answer to one question")
        body, self._buffer = bytes(self._buffer[_HEAD.size :]), bytearray()
        try:
            answer = _answers.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError(f"no answer: {error}") from error
        if answer.number != number:
            raise FrameError("an answer to another question")
        return answer
