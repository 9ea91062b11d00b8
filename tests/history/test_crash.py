"""Whatever moment the controller is killed in: what was stored is there, whole, and goes on where it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from hetslurm.history import HistoryStore, Which, read_runs

from .crash_child import run_of


def test_a_store_whose_writer_is_killed_has_all_that_was_said_to_be_stored(tmp_path: Path) -> None:
    child = [sys.executable, "-P", str(Path(__file__).with_name("crash_child.py")), str(tmp_path)]
    said = 0
    for kill in range(12):
        process = subprocess.Popen(child, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(2 + kill % 3):
            said = int(process.stdout.readline())
        time.sleep(kill * 0.0007)  # somewhere within the next transactions
        process.send_signal(signal.SIGKILL)
        said = max([said, *(int(line) for line in process.stdout.read().split())])
        process.stdout.close()
        process.wait()
    store = HistoryStore(tmp_path, keep_runs=500, keep_days=730)
    until = int(store.read_until() or 0)
    assert store.set_aside is None
    # The last of all may be stored and not yet said.
    assert until in (said, said + 10)
    assert store.count == min(until, 500)
    assert list(store.runs()) == [run_of(n) for n in range(max(0, until - 500), until)]
    store.close()
    assert sum(1 for _ in read_runs(tmp_path, Which())) == min(until, 500)
