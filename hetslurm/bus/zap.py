"""Who may connect: ZeroMQ's authentication protocol (RFC 27), answered from the registry.

https://rfc.zeromq.org/spec/27/. The User-Id of every message is then its sender's public key in Z85.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq
from zmq.utils import z85

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"hetslurm"

Verdict = Callable[[str], tuple[bytes, bytes]]
ACCEPT = (b"200", b"OK")
# After a 400 libzmq's client is told at once and never tries again; ours open a new socket, later and later.
REVOKED = (b"400", b"revoked")
UNKNOWN = (b"400", b"unknown")
_MALFORMED = (b"500", b"malformed")
_REQUEST_FRAMES = 9


def open_zap(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """The socket on which libzmq asks. Only one a context."""
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.bind(ENDPOINT)
    return socket


def answer(request: list[bytes], verdict: Verdict) -> list[bytes]:
    """The reply to one request: `verdict` decides on CURVE clients of our domain, all others are refused."""
    routing, request_id = request[:1], request[3:4]
    user, (status, text) = "", _MALFORMED
    if len(request) == _REQUEST_FRAMES:
        _, _, version, _, domain, _, _, mechanism, key = request
        if version == b"1.0" and domain == DOMAIN and mechanism == b"CURVE" and len(key) == 32:
            user = z85.encode(key).decode()
            status, text = verdict(user)
    return [*routing, b"", b"1.0", *request_id, status, text, user.encode() if status == b"200" else b"", b""]
