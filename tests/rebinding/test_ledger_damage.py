"""A ledger of moves that cannot be read is never begun anew in silence: jobs may be held by what it knew."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetslurm.controller.rebind_ledger import RebindLedger
from hetslurm.errors import HetslurmError


def test_a_damaged_ledger_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "rebind.sqlite3"
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(HetslurmError, match=r"rebind\.sqlite3: cannot keep moves: .*; move it aside"):
        RebindLedger(tmp_path)
    assert path.read_bytes().startswith(b"not a database")
