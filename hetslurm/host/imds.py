"""EC2's instance metadata service, version 2: a token first, then GETs that carry it."""

from __future__ import annotations

import http.client
import time
from contextlib import closing
from urllib.parse import urlsplit

from hetslurm.errors import ProbeError

ENDPOINT = "http://169.254.169.254"
TOKEN_S = 3600
_MAX_BYTES = 65536


class Imds:
    """Every `get` ends within `deadline_s`. Nothing of what it reads is trusted to be short or text."""

    def __init__(self, endpoint: str = ENDPOINT, *, deadline_s: float = 1.0) -> None:
        self._endpoint = endpoint
        self._url = urlsplit(endpoint)
        self._deadline_s = deadline_s
        self._token = ""

    def get(self, path: str) -> str | None:
        """The text at /latest/PATH; None where there is none (404). ProbeError: no service, or no answer."""
        end = time.monotonic() + self._deadline_s
        for _ in range(2):
            if not self._token:
                self._token = self._ask("PUT", "api/token", end)[1]
            status, text = self._ask("GET", path, end)
            if status == http.client.UNAUTHORIZED:
                # Its time is up, or the instance was moved.
                self._token = ""
                continue
            return text if status == http.client.OK else None
        raise ProbeError(f"{self._endpoint}: the instance metadata service refuses its own token")

    def _ask(self, method: str, path: str, end: float) -> tuple[int, str]:
        left_s = max(0.05, end - time.monotonic())
        headers = {"X-aws-ec2-metadata-token": self._token}
        if method == "PUT":
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_S)}
        host = self._url.hostname or ""
        try:
            with closing(http.client.HTTPConnection(host, self._url.port, timeout=left_s)) as line:
                line.request(method, f"/latest/{path}", headers=headers)
                answer = line.getresponse()
                text = answer.read(_MAX_BYTES).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise ProbeError(
                f"{self._endpoint}: no answer of the instance metadata service: {why}"
            ) from error
        known = (http.client.OK, http.client.NOT_FOUND, http.client.UNAUTHORIZED)
        if answer.status not in known or (method == "PUT" and answer.status != http.client.OK):
            raise ProbeError(
                f"{self._endpoint}: the instance metadata service answers {answer.status} to {method} {path}"
            )
        return answer.status, text
