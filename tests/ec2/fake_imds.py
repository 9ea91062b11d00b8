"""EC2's instance metadata service over real HTTP on loopback. What it does not know, it raises on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What a real one answers 404 to while there is nothing to say.
KNOWN = {
    "meta-data/spot/instance-action",
    "meta-data/events/recommendations/rebalance",
    "meta-data/tags/instance/hetslurm:deadline",
    "meta-data/tags/instance/hetslurm:node",
}


class FakeImds:
    """`told` maps paths under /latest/ to text. `hangs_s`: it answers only then."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.hangs_s = 0.0
        self.tokens: list[str] = []
        self.asked: list[str] = []
        self.problems: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                fake.answer_put(self)

            def do_GET(self) -> None:
                fake.answer_get(self)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def forget_tokens(self) -> None:
        """Their time is up."""
        self.tokens.clear()

    def close(self) -> None:
        """Gone from its port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer_put(self, ask: BaseHTTPRequestHandler) -> None:
        time.sleep(self.hangs_s)
        if ask.path != "/latest/api/token" or "X-aws-ec2-metadata-token-ttl-seconds" not in ask.headers:
            self._unknown(f"PUT {ask.path}")
        token = f"token-{time.monotonic_ns()}"
        self.tokens.append(token)
        _send(ask, 200, token)

    def answer_get(self, ask: BaseHTTPRequestHandler) -> None:
        time.sleep(self.hangs_s)
        path = ask.path.removeprefix("/latest/")
        self.asked.append(path)
        if ask.headers.get("X-aws-ec2-metadata-token") not in self.tokens:
            _send(ask, 401, "")
        elif path in self.told:
            _send(ask, 200, self.told[path])
        elif path in KNOWN:
            _send(ask, 404, "")
        else:
            self._unknown(f"GET {ask.path}")

    def _unknown(self, what: str) -> None:
        self.problems.append(what)
        raise AssertionError(f"no metadata service knows {what}")


@contextmanager
def fake_imds() -> Iterator[FakeImds]:
    """One that is gone afterwards; fails the test where it was asked what none knows."""
    imds = FakeImds()
    try:
        yield imds
    finally:
        imds.close()
    assert imds.problems == []


def _send(ask: BaseHTTPRequestHandler, status: int, text: str) -> None:
    body = text.encode()
    ask.send_response(status)
    ask.send_header("Content-Length", str(len(body)))
    ask.end_headers()
    ask.wfile.write(body)
