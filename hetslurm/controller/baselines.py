"""Benchmarks of every device over months, in SQLite, and what each is compared with.

What is lost with the file is learned again, so a file that cannot be read is set aside and a new one begun.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np

from hetslurm.controller.learned_file import LearnedFile
from hetslurm.health.baseline import KEEP_S, Known, Measured, baseline_of, known_of
from hetslurm.health.columns import Columns, Floats

# A benchmark a day for as long as they count. One that runs more often is remembered for less long.
KEPT = 96
_FILE = "baselines.sqlite3"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS measured (
    device TEXT NOT NULL,
    at REAL NOT NULL,
    numbers TEXT NOT NULL,
    PRIMARY KEY (device, at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS baseline (
    device TEXT PRIMARY KEY,
    at REAL NOT NULL,
    newest TEXT NOT NULL,
    numbers TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS baseline_at ON baseline (at);
"""


class BaselineStore(LearnedFile):
    """The file; one writer, the controller under its lock."""

    FILE = _FILE
    SCHEMA = _SCHEMA
    HOLDS = "baselines"

    def newest(self, devices: Iterable[str]) -> dict[str, tuple[Measured, Mapping[str, float]]]:
        """The newest benchmark and the baselines of those devices that have any."""
        found: dict[str, tuple[Measured, Mapping[str, float]]] = {}
        with self._transaction() as db:
            for device in devices:
                row = db.execute(
                    "SELECT at, newest, numbers FROM baseline WHERE device = ?", (device,)
                ).fetchone()
                if row is not None:
                    found[device] = (Measured(device, row[0], _numbers(row[1])), _numbers(row[2]))
        return found

    def add(self, measured: Iterable[Measured], now: float) -> dict[str, Mapping[str, float]]:
        """Store benchmarks, all or none; returns their devices' baselines."""
        baselines: dict[str, Mapping[str, float]] = {}
        with self._transaction() as db:
            for one in measured:
                text = json.dumps(dict(one.values))
                db.execute("INSERT OR REPLACE INTO measured VALUES (?, ?, ?)", (one.device, one.at, text))
                history = [
                    (at, _numbers(numbers))
                    for at, numbers in db.execute(
                        "SELECT at, numbers FROM measured WHERE device = ? ORDER BY at", (one.device,)
                    )
                ]
                for at, _ in history[:-KEPT]:
                    db.execute("DELETE FROM measured WHERE device = ? AND at = ?", (one.device, at))
                baseline = baselines_of(history, now)
                db.execute(
                    "INSERT OR REPLACE INTO baseline VALUES (?, ?, ?, ?)",
                    (one.device, one.at, text, json.dumps(baseline)),
                )
                baselines[one.device] = baseline
        return baselines

    def forget_before(self, unix_s: float) -> int:
        """Drop devices that were not measured since; returns how many."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM measured WHERE device IN (SELECT device FROM baseline WHERE at < ?)", (unix_s,)
            )
            return db.execute("DELETE FROM baseline WHERE at < ?", (unix_s,)).rowcount


class Baselines:
    """Follows one board: notes its new benchmarks, and has the baselines by slot that judging takes."""

    def __init__(self, store: BaselineStore, board: Columns) -> None:
        self._store = store
        self._board = board
        self._known = known_of(board)

    def follow(self, now: float) -> dict[str, Floats]:
        """Note what is new at Unix seconds `now`. By probe: float64 (RATE metrics, slots), NaN: unknown.

        HetslurmError when the store cannot be used; what is known stays in force.
        """
        for probe, known in self._known.items():
            table = self._board.probes[probe]
            changed = known.follow(table, self._board.names)
            if changed:
                self._recall(known, changed)
            news = known.news(table)
            if news:
                baselines = self._store.add(news.values(), now)
                for slot, one in news.items():
                    _set(known.baseline, known.rates, slot, baselines[one.device])
        return self.by_probe()

    def by_probe(self) -> dict[str, Floats]:
        """The same without looking for new ones; a probe without any baseline is left out."""
        found = {}
        for probe, known in self._known.items():
            size = self._board.probes[probe].size
            if known.baseline.shape[1] == size and not np.isnan(known.baseline).all():
                found[probe] = known.baseline
        return found

    def _recall(self, known: Known, slots: list[int]) -> None:
        stored = self._store.newest({known.keys[slot] for slot in slots})
        for slot in slots:
            if (past := stored.get(known.keys[slot])) is not None:
                newest, baseline = past
                known.at[slot] = newest.at
                _set(known.values, known.rates, slot, newest.values)
                _set(known.baseline, known.rates, slot, baseline)


def baselines_of(history: list[tuple[float, dict[str, float]]], now: float) -> dict[str, float]:
    """The baseline of each metric that was ever measured."""
    metrics = {metric for _, numbers in history for metric in numbers}
    found = {}
    for metric in sorted(metrics):
        value = baseline_of([(at, numbers[metric]) for at, numbers in history if metric in numbers], now)
        if value is not None:
            found[metric] = value
    return found


def forget_old(store: BaselineStore, now: float) -> int:
    """Drop devices that nobody has measured for as long as measurements count."""
    return store.forget_before(now - KEEP_S)


def _set(array: Floats, rates: list[str], slot: int, numbers: Mapping[str, float]) -> None:
    array[:, slot] = [numbers.get(name, np.nan) for name in rates]


def _numbers(text: str) -> dict[str, float]:
    found = json.loads(text)
    return {str(name): float(value) for name, value in found.items()}
