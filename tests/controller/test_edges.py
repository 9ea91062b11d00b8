"""The controller's edges: one instance, systemd, log lines, status, the decision log."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.controller.audit import Audit
from hetslurm.controller.decisions import DecisionLog, JobKey, Noted, decisions_path, read_decision
from hetslurm.controller.lock import InstanceLock
from hetslurm.controller.status import Status, read_status, write_status
from hetslurm.daemon.log import Log
from hetslurm.daemon.notify import Notifier
from hetslurm.daemon.stop import Stop, Stopped
from hetslurm.errors import HetslurmError


def test_a_second_controller_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with (
        InstanceLock(tmp_path),
        pytest.raises(HetslurmError, match=f"another controller \\(pid {os.getpid()}\\)"),
        InstanceLock(tmp_path),
    ):
        pass
    with InstanceLock(tmp_path):
        pass


def test_the_service_manager_hears_ready_alive_and_stopping(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "60000000"})
        notifier.ready("up")
        notifier.alive("fine")
        notifier.stopping()
        heard = [manager.recv(4096).decode() for _ in range(3)]
    assert heard == ["READY=1\nSTATUS=up", "WATCHDOG=1\nSTATUS=fine", "STOPPING=1"]
    assert notifier.watchdog_s == 60.0


def test_without_a_service_manager_nothing_happens() -> None:
    Notifier({}).ready("up")
    Notifier({"NOTIFY_SOCKET": "/nowhere/notify"}).alive("fine")


def test_log_lines_are_key_value_or_json() -> None:
    text, as_json = io.StringIO(), io.StringIO()
    for form, out in (("text", text), ("json", as_json)):
        Log(form, out, FixedClock(0)).info("cycle", pools=3, why="two words", rate=0.5)
    assert text.getvalue() == '1970-01-01T00:00:00.000Z info cycle pools=3 why="two words" rate=0.5\n'
    assert json.loads(as_json.getvalue()) == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "event": "cycle",
        "pools": 3,
        "why": "two words",
        "rate": 0.5,
    }


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    out = io.StringIO()
    out.close()
    Log("text", out).info("cycle")


def test_the_status_file_is_replaced_whole(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    write_status(tmp_path, Status(pid=7, started_at=1.0, updated_at=2.0, generation=3))
    status = read_status(tmp_path)
    assert status is not None
    assert (status["pid"], status["generation"]) == (7, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["controller.json"]


def test_the_audit_log_only_grows(tmp_path: Path) -> None:
    audit = Audit(tmp_path, FixedClock(0))
    audit.note("bind", job_id=1, why="a", result="verified", partition="gpu")
    audit.note("release", job_id=1, why="b", result="done")
    first, second = (json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines())
    assert (first["action"], first["partition"], first["why"], first["result"]) == (
        "bind",
        "gpu",
        "a",
        "verified",
    )
    assert second["time"] == "1970-01-01T00:00:00.000+00:00"
    assert f"uid {os.getuid()}" in second["who"]


def test_a_decision_is_kept_by_job_and_submission_since_ids_come_again(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    log.add([Noted(JobKey(1, 100), 5.0, "plugin", 7, 8, {"chosen": 1})])
    log.add([Noted(JobKey(1, 200), 6.0, "controller", 9, 9, {"chosen": 2})])
    assert log.known([JobKey(1, 100), JobKey(1, 300)]) == {JobKey(1, 100)}
    noted = read_decision(tmp_path, 1)
    assert noted is not None
    assert (noted.explanation, noted.by, noted.recomputed_generation) == ({"chosen": 2}, "controller", 9)
    assert log.forget_before(6.0) == 1
    log.close()
    assert read_decision(tmp_path, 2) is None
    assert read_decision(tmp_path / "nowhere", 1) is None


def test_a_reader_that_will_not_end_costs_one_note_and_not_all_that_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(
            sqlite3, "connect", lambda path, **options: connect(path, **{**options, "timeout": 0.0})
        )
        log = DecisionLog(tmp_path)
    log.add([Noted(JobKey(1, 100), 5.0, "plugin", 7, 8, {})])
    reader = connect(decisions_path(tmp_path), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM decision").fetchall()
    with pytest.raises(HetslurmError, match=r"decisions.sqlite: cannot keep decisions: database is locked"):
        log.add([Noted(JobKey(2, 100), 5.0, "plugin", 7, 8, {})])
    reader.close()
    log.add([Noted(JobKey(3, 100), 5.0, "plugin", 7, 8, {})])
    assert log.known([JobKey(2, 100), JobKey(3, 100)]) == {JobKey(3, 100)}
    log.close()


def test_an_intent_outlives_the_process_until_it_is_fulfilled(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    log.intend(JobKey(1, 100), 5.0)
    log.close()
    log = DecisionLog(tmp_path)
    assert log.intents() == [JobKey(1, 100)]
    log.fulfilled(JobKey(1, 100))
    assert log.intents() == []
    log.close()


def read_slowly(stop: Stop) -> None:
    with stop.interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_a_stop_breaks_a_read_but_not_a_change() -> None:
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    stop.install()
    try:
        with pytest.raises(Stopped):
            read_slowly(stop)
        stop.requested = False
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        begun = time.monotonic()
        stop.wait(5)
        assert time.monotonic() - begun < 1
        with pytest.raises(Stopped), stop.interruptible():
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()


def test_a_reload_wakes_the_sleeper_and_is_taken_once() -> None:
    stop = Stop()
    stop.ask_reload()
    begun = time.monotonic()
    stop.wait(5)
    assert time.monotonic() - begun < 1
    assert stop.take_reload()
    assert not stop.take_reload()
    stop.close()
