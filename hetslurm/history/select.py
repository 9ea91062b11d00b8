"""Which runs are meant, as SQL; and reading them in pieces, so that no reader keeps the writer waiting."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from hetslurm.history.rows import SELECT, run_of_row
from hetslurm.runs import Run

CHUNK = 2000


class Order(StrEnum):
    """By when runs ended, as they are learnt; or by when they were submitted, as logs have them."""

    ENDED = "end_at, id"
    SUBMITTED = "submit_at, job_id"


@dataclass(frozen=True, slots=True)
class Which:
    """Runs of a `user`, of an `app`, that ended `since` and `before` (Unix seconds); None: any."""

    user: str | None = None
    app: str | None = None
    since: float | None = None
    before: float | None = None

    def where(self) -> tuple[str, list[object]]:
        """A condition and its values."""
        asked = (
            ("user = ?", self.user),
            ("app = ?", self.app),
            ("end_at >= ?", self.since),
            ("end_at < ?", self.before),
        )
        said = [(words, value) for words, value in asked if value is not None]
        return " AND ".join(words for words, _ in said) or "1", [value for _, value in said]


def runs_in(db: sqlite3.Connection, which: Which, order: Order = Order.ENDED) -> Iterator[Run]:
    """Those runs, in pieces: what is stored meanwhile may be among them, what is there is there once."""
    condition, values = which.where()
    after: tuple[object, object] | None = None
    while True:
        beyond = f" AND ({order}) > (?, ?)" if after else ""
        rows = db.execute(
            f"SELECT {SELECT}, {order} FROM run WHERE {condition}{beyond} ORDER BY {order} LIMIT {CHUNK}",  # noqa: S608
            [*values, *(after or ())],
        ).fetchall()
        for row in rows:
            yield run_of_row(row[:-2])
        if len(rows) < CHUNK:
            return
        after = rows[-1][-2:]
