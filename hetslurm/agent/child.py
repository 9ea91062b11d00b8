"""What runs in a probe's own process: opens the probe, answers request after request, ends with the agent."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

import msgspec

from hetslurm.agent.frames import Answer, Opening, Request, answer_of, pack
from hetslurm.errors import HetslurmError
from hetslurm.site import AgentSite
from hetslurm.telemetry import Probe, ProbeState, Sample

Opener: TypeAlias = Callable[[AgentSite], Probe]

# Made before any child is forked, so that all share them.
_openings = msgspec.msgpack.Decoder(Opening)
_requests = msgspec.msgpack.Decoder(Request)


class _Gone(Exception):
    """The agent has closed its end."""


def serve(line: socket.socket, openers: Mapping[str, Opener]) -> None:
    """Answer requests until the agent closes its end of the line."""
    with suppress(_Gone, OSError):
        opening = _openings.decode(_take(line))
        probe: Probe | None = None
        try:
            while True:
                request = _requests.decode(_take(line))
                begun = time.monotonic()
                try:
                    if probe is None:
                        probe = openers[opening.probe](opening.agent)
                    sample = probe.sample() if request.task == "sample" else probe.measure()
                except Exception as error:  # whatever a vendor's library raises is an answer, too
                    sample = Sample(opening.probe, ProbeState.FAILED, message=_words(error))
                line.sendall(_bounded(request.number, time.monotonic() - begun, sample))
        finally:
            if probe is not None:
                with suppress(Exception):
                    probe.close()


def _bounded(number: int, took_s: float, sample: Sample) -> bytes:
    try:
        return pack(answer_of(number, took_s, sample))
    except (TypeError, ValueError) as error:
        return pack(Answer(number, took_s, int(ProbeState.FAILED), _words(error), []))


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, HetslurmError) else f"{type(error).__name__}: {error}"


def _take(line: socket.socket) -> bytes:
    (size,) = struct.unpack("<I", _exactly(line, 4))
    return _exactly(line, size)


def _exactly(line: socket.socket, size: int) -> bytes:
    pieces = []
    while size:
        piece = line.recv(min(size, 65536))
        if not piece:
            raise _Gone
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
