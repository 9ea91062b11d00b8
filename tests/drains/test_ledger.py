"""The ledger of drains keeps what it was told, forgets what is over, and refuses what it cannot read."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from hetslurm.controller import drain_ledger
from hetslurm.controller.drain_ledger import DrainLedger, close_breaker, ledger_path, read_ledger
from hetslurm.errors import HetslurmError
from hetslurm.health.drain_breaker import Breaker
from hetslurm.health.drain_entry import Entry, State

from .scenes import NOW


def _intend(ledger: DrainLedger, node: str = "n1", now: float = NOW, token: str = "aa") -> Entry:
    return ledger.intend(
        node,
        f"hetslurm: bad #{token}",
        why="bad",
        findings=frozenset({"gpu/0/ecc", "gpu/1/xid"}),
        pardoned=frozenset({"host/0/oom"}),
        updates_before=41,
        now=now,
    )


def test_an_intent_is_on_disk_before_anything_else_happens(tmp_path: Path) -> None:
    intent = _intend(DrainLedger(tmp_path))
    assert DrainLedger(tmp_path).entries() == (intent,)
    assert intent.state is State.INTENT
    assert intent.updates_before == 41


def test_every_step_of_an_entry_is_kept_in_order(tmp_path: Path) -> None:
    ledger = DrainLedger(tmp_path)
    entry = _intend(ledger)
    entry = ledger.record(entry, State.DRAINED, "seen", NOW + 1, reason_by="slurm", reason_at=NOW)
    ledger.record(entry, State.RELEASED, "well", NOW + 2)
    view = read_ledger(tmp_path)
    assert [(s.node, s.state, s.why, s.at) for s in view.steps] == [
        ("n1", State.RELEASED, "well", NOW + 2),
        ("n1", State.DRAINED, "seen", NOW + 1),
        ("n1", State.INTENT, "bad", NOW),
    ]
    assert view.entries == ledger.entries()
    assert view.entries[0].reason_at == NOW


def test_a_new_drain_ends_the_pardon_before_it(tmp_path: Path) -> None:
    ledger = DrainLedger(tmp_path)
    ledger.record(_intend(ledger), State.RESUMED, "by an admin", NOW)
    second = _intend(ledger, token="bb")
    assert ledger.entries() == (second,)
    assert {s.state for s in read_ledger(tmp_path).steps} == {State.INTENT, State.RESUMED, State.LAPSED}


def test_the_breaker_survives_and_an_admin_s_look_reaches_it(tmp_path: Path) -> None:
    ledger = DrainLedger(tmp_path)
    assert ledger.breaker() == Breaker()
    ledger.note_breaker(Breaker(NOW, frozenset({"n1", "n2"})))
    close_breaker(tmp_path, NOW + 5)
    assert DrainLedger(tmp_path).breaker() == Breaker(NOW, frozenset({"n1", "n2"}), NOW + 5)
    assert ledger.breaker().looked_at == NOW + 5


def test_what_is_old_and_over_is_forgotten_and_what_is_live_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_ledger, "KEEP_ENTRIES", 3)
    ledger = DrainLedger(tmp_path)
    live = ledger.record(_intend(ledger, "old"), State.DRAINED, "seen", NOW)
    for i in range(10):
        ledger.record(_intend(ledger, f"n{i}", token=str(i)), State.RELEASED, "well", NOW)
    ledger.trim(NOW)
    assert {e.node for e in ledger.entries()} == {"old", "n7", "n8", "n9"}
    ledger.trim(NOW + drain_ledger.KEEP_S + 1)
    assert ledger.entries() == (live,)
    assert {s.node for s in read_ledger(tmp_path).steps} == {"old"}


def test_an_entry_that_goes_to_and_fro_for_ever_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_ledger, "KEEP_STEPS", 5)
    ledger = DrainLedger(tmp_path)
    entry = _intend(ledger)
    for i in range(20):
        entry = ledger.record(entry, State.WIPED if i % 2 else State.DRAINED, str(i), NOW + i)
    assert [s.why for s in read_ledger(tmp_path).steps] == ["19", "18", "17", "16", "15"]


def test_a_ledger_that_is_no_ledger_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(HetslurmError, match=r"drains\.sqlite3"):
        read_ledger(tmp_path)
    with pytest.raises(HetslurmError, match=r"drains\.sqlite3"):
        close_breaker(tmp_path, NOW)
    ledger_path(tmp_path).write_text("not a database, but long enough to be taken for one" * 50)
    with pytest.raises(HetslurmError, match="cannot keep drains"):
        DrainLedger(tmp_path)


def test_a_full_disk_is_said_and_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    ledger = DrainLedger(tmp_path)
    before = _intend(ledger)
    ledger._db.execute("PRAGMA query_only=ON")
    with pytest.raises(HetslurmError, match="cannot keep drains"):
        ledger.record(before, State.DRAINED, "seen", NOW)
    assert ledger.entries() == (before,)


def test_others_cannot_read_or_write_it_and_every_commit_reaches_the_disk(tmp_path: Path) -> None:
    ledger = DrainLedger(tmp_path)
    assert os.stat(ledger.path).st_mode & 0o777 == 0o640
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    with sqlite3.connect(ledger.path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] != "wal"
