"""Alerts: somebody is told when a cap is used up to a share, once a period.

They are told from a thread of their own, by a child process with a deadline: a command that hangs, a webhook
that does not answer, or one that is wrong, never holds up anything. What failed is tried again a few times.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence

from hetslurm.clock import Clock
from hetslurm.cloudburst.alert_rules import Crossing, crossings, message
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.caps import describe
from hetslurm.cloudburst.ledger.told import MOST_TRIES
from hetslurm.cloudburst.policy import Policy
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError

DEADLINE_S = 10.0
_MOST_SAID = 300


class Alerts:
    """Looks at the book whenever it is called, and tells who wants to know. Raises nothing."""

    def __init__(self, book: Book, log: Log, clock: Clock, *, deadline_s: float = DEADLINE_S) -> None:
        self._book = book
        self._log = log
        self._clock = clock
        self._deadline_s = deadline_s
        self._thread: threading.Thread | None = None

    def look(self, policy: Policy) -> None:
        """Tell what is due, unless it is still being told. Returns at once."""
        if not policy.alerts or (self._thread is not None and self._thread.is_alive()):
            return
        try:
            due = list(crossings(self._book.usage(), policy.alerts))
        except HetslurmError as error:
            self._log.error("budget alert", why=str(error))
            return
        if due:
            self._thread = threading.Thread(
                target=self._tell, args=(due, policy.currency), name="budget-alerts", daemon=True
            )
            self._thread.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Until what is being told was told."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _tell(self, due: Sequence[Crossing], currency: str) -> None:
        for crossing in due:
            try:
                self._tell_one(crossing, currency)
            except HetslurmError as error:
                self._log.error("budget alert", why=str(error))
                return

    def _tell_one(self, crossing: Crossing, currency: str) -> None:
        number = self._book.begin_alert(crossing.key)
        if not number:
            return
        told = message(crossing, currency, self._clock.now())
        text = json.dumps(told)
        if crossing.command:
            why = run(crossing.command, text, self._deadline_s)
        else:
            # The URL may be a secret: it is in no argument list, and in no log.
            request = json.dumps({"url": crossing.webhook, "body": text, "timeout_s": self._deadline_s})
            why = run((sys.executable, "-P", "-m", "hetslurm.burst.webhook"), request, self._deadline_s)
        facts = {
            "to": crossing.command[0] if crossing.command else "webhook",
            "cap": describe(crossing.usage.cap, crossing.usage.name),
            "share": crossing.share,
        }
        if not why:
            self._book.alert_told(crossing.key)
            self._log.info("budget alert", **facts)
        elif number < MOST_TRIES:
            self._log.warning("budget alert not told", **facts, why=why, tries=number)
        else:
            self._log.error("budget alert given up", **facts, why=why, tries=number)


def run(command: Sequence[str], text: str, deadline_s: float) -> str:
    """Run a program with a text on stdin; "" when it said yes, else why not.

    One that takes too long is killed with all it started; what one that is done left running goes on.
    """
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as words:
        words.write(text.encode())
        words.seek(0)
        try:
            child = subprocess.Popen(
                command,
                stdin=words,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                cwd="/",
            )
        except (OSError, ValueError) as error:
            return f"cannot be started: {error}"
        try:
            status = child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return f"took more than {deadline_s:g} s"
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _MOST_SAID))
        said = errors.read(_MOST_SAID).decode(errors="replace").strip()
    return f"exit status {status}: {said}" if status else ""
