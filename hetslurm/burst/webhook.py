"""`python -m hetslurm.burst.webhook`: POST a body to a URL. Both come on stdin, as JSON."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from http.client import HTTPException

_OK = range(200, 300)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A POST that is sent elsewhere would arrive as a GET: it did not arrive."""

    def redirect_request(self, *_: object) -> None:
        """None: the answer is taken as it is."""
        return


def post(url: str, body: str, timeout_s: float) -> str:
    """Send it; "" when it was taken, else why not, without the URL."""
    if not url.startswith(("http://", "https://")):
        return "not an http:// or https:// URL"
    request = urllib.request.Request(  # noqa: S310  looked at above
        url, data=body.encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return "" if answer.status in _OK else f"it answered {answer.status}"
    except urllib.error.HTTPError as error:
        with error:
            return f"it answered {error.code}"
    except urllib.error.URLError as error:
        return f"no answer: {error.reason}"
    except (OSError, HTTPException, ValueError) as error:
        return f"no answer: {type(error).__name__}"


def main() -> None:
    """Exit status 0 when it was taken."""
    asked = json.load(sys.stdin)
    why = post(asked["url"], asked["body"], asked["timeout_s"])
    if why:
        sys.stderr.write(why + "\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
