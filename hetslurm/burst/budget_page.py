"""`state_dir/budget.json`: how the caps stand, for users, whom the ledger itself does not let in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hetslurm.burst.budget_facts import gather
from hetslurm.clock import Clock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError

# As old as it may get where nothing changes, seconds.
FRESH_S = 60.0


def page_path(state_dir: Path) -> Path:
    """Where the page is."""
    return state_dir / "budget.json"


class BudgetPage:
    """Keeps the page up to date. Everybody on the machine can read it, as they can read Slurm's jobs."""

    def __init__(self, book: Book, log: Log, clock: Clock) -> None:
        self._book = book
        self._log = log
        self._clock = clock
        self._seen = ""
        self._written_at = float("-inf")
        self._said = ""

    def look(self, currency: str) -> None:
        """Write it where something changed. What fails is logged once, and tried again the next time."""
        now = self._clock.now()
        try:
            facts = gather(self._book, currency, now)
            seen = json.dumps({**facts, "at": ""})
            if seen == self._seen and now - self._written_at < FRESH_S:
                return
            _write(page_path(self._book.path.parent), facts)
        except (HetslurmError, OSError) as error:
            if str(error) != self._said:
                self._log.warning("budget page", error=str(error))
            self._said = str(error)
            return
        self._seen, self._written_at, self._said = seen, now, ""


def read_page(state_dir: Path) -> dict[str, Any] | None:
    """What was written last; None: there is nothing to read."""
    try:
        facts = json.loads(page_path(state_dir).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(".json.new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        os.fchmod(file, 0o644)
        json.dump(facts, out)
        out.write("\n")
    fresh.replace(path)
