"""Alerts: told once a cap, share and period; what does not listen is tried again, and holds up nothing."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest

from hetslurm.burst.alerts import Alerts
from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.told import MOST_TRIES
from hetslurm.cloudburst.policy import Alert, Policy
from hetslurm.cluster import Cluster
from hetslurm.controller.burst import Burst, Scene
from hetslurm.daemon.log import Log
from hetslurm.site import BurstSite, Site
from hetslurm.slurm.fake import FakeSlurm

from .scenes import cap, wanted

SHARES = (0.5, 0.8, 1.0)


@dataclass
class Desk:
    """Alerts on a book, and what was told and logged."""

    book: Book
    clock: FixedClock
    folder: Path
    log: StringIO = field(default_factory=StringIO)

    def look(self, *alerts: Alert, deadline_s: float = 30.0) -> None:
        """One look, until everybody was told."""
        watch = Alerts(self.book, Log("json", self.log), self.clock, deadline_s=deadline_s)
        watch.look(Policy(alerts=alerts, currency="EUR"))
        watch.wait()

    def command(self, code: str, at: tuple[float, ...] = SHARES) -> Alert:
        """A program that runs Python code with `text` from stdin and `out`, a file that it appends to."""
        start = f"import sys; text = sys.stdin.read(); out = open({str(self.folder / 'told')!r}, 'a')\n"
        return Alert(at=at, command=(sys.executable, "-c", start + code))

    def told(self) -> list[dict[str, object]]:
        """What the program wrote down."""
        path = self.folder / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def logged(self) -> list[dict[str, object]]:
        """The log's lines."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
def desk(book: Book, clock: FixedClock, tmp_path: Path) -> Desk:
    """A site that may spend 10 an hour."""
    book.caps = [cap(10, period="hour")]
    return Desk(book, clock, tmp_path)


WRITE = "print(text, file=out)"


def test_a_share_is_told_once_and_the_highest_that_was_reached(desk: Desk) -> None:
    alert = desk.command(WRITE)
    desk.book.reserve(wanted(1, 4.9))
    desk.look(alert)
    assert desk.told() == []
    desk.book.reserve(wanted(2, 4))
    for _ in range(3):
        desk.look(alert)
    (told,) = desk.told()
    assert (told["share"], told["used"], told["limit"], told["currency"]) == (0.8, "8.90", "10.00", "EUR")
    assert told["text"] == (
        "hetslurm: 8.90 of 10.00 EUR are used under the cap of the site, per hour (0.00 spent, 8.90 reserved)"
    )
    desk.book.release(2, "gone home")
    desk.book.reserve(wanted(3, 0.5))
    desk.look(alert)
    assert len(desk.told()) == 1
    desk.book.reserve(wanted(4, 4.6))
    desk.look(alert)
    assert [one["share"] for one in desk.told()] == [0.8, 1.0]


def test_a_new_period_and_a_new_limit_are_told_anew(desk: Desk) -> None:
    alert = desk.command(WRITE)
    desk.book.reserve(wanted(1, 6))
    desk.look(alert)
    desk.clock.advance(3600)
    desk.look(alert)
    desk.book.set_cap(cap(7, period="hour"))
    desk.look(alert)
    assert [(one["share"], one["limit"]) for one in desk.told()] == [
        *((0.5, "10.00"), (0.5, "10.00")),
        (0.8, "7.00"),
    ]


def test_what_was_told_is_remembered_by_the_next_process(desk: Desk) -> None:
    desk.book.reserve(wanted(1, 6))
    desk.look(desk.command(WRITE))
    with Book(desk.book.path, desk.clock) as other:
        Desk(other, desk.clock, desk.folder).look(desk.command(WRITE))
    assert len(desk.told()) == 1


def test_a_command_that_fails_is_tried_a_few_times_later_and_then_given_up(desk: Desk) -> None:
    alert = desk.command(f"{WRITE}; out.close(); sys.exit('no mail today')")
    desk.book.caps = [cap(10)]
    desk.book.reserve(wanted(1, 6))
    for _ in range(3):
        desk.look(alert)
    assert len(desk.told()) == 1
    for _ in range(10):
        desk.clock.advance(3600)
        desk.look(alert)
    assert len(desk.told()) == MOST_TRIES
    events = [(one["level"], one["event"]) for one in desk.logged()]
    assert events == [("warning", "budget alert not told")] * (MOST_TRIES - 1) + [
        ("error", "budget alert given up")
    ]
    assert "no mail today" in str(desk.logged()[0]["why"])


def test_a_command_that_hangs_is_killed_and_does_not_hold_up_who_looks(desk: Desk) -> None:
    desk.book.reserve(wanted(1, 6))
    watch = Alerts(desk.book, Log("json", desk.log), desk.clock, deadline_s=1.0)
    policy = Policy(alerts=(desk.command("import time; time.sleep(600)"),))
    watch.look(policy)
    assert desk.logged() == []
    watch.look(policy)
    watch.wait()
    (line,) = desk.logged()
    assert line["why"] == "took more than 1 s"


def test_a_command_that_is_not_there_is_logged(desk: Desk) -> None:
    desk.book.reserve(wanted(1, 6))
    desk.look(Alert(command=("/no/such/program",)))
    (line,) = desk.logged()
    assert "cannot be started" in str(line["why"])


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes a POST and answers with the path's number."""

    heard: list[tuple[str, str]]

    def do_POST(self) -> None:
        """Keep it, answer."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.heard.append((self.path, body))
        self.send_response(int(self.path.strip("/").split("/")[0]))
        self.send_header("Location", "/200/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def hook() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The address of a webhook, and what it heard."""
    heard: list[tuple[str, str]] = []
    handler = type("_Hook", (Hook,), {"heard": heard})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", heard
        finally:
            server.shutdown()
            thread.join()


def test_a_webhook_gets_it_as_json(desk: Desk, hook: tuple[str, list[tuple[str, str]]]) -> None:
    address, heard = hook
    desk.book.reserve(wanted(1, 10))
    for _ in range(2):
        desk.look(Alert(webhook=f"{address}/204"))
    ((path, body),) = heard
    assert path == "/204"
    assert json.loads(body)["share"] == 1.0


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_says_no_is_tried_again_and_its_address_is_in_no_log(
    desk: Desk, hook: tuple[str, list[tuple[str, str]]], status: int
) -> None:
    address, heard = hook
    alert = Alert(webhook=f"{address}/{status}/secret")
    desk.book.reserve(wanted(1, 6))
    desk.look(alert)
    desk.clock.advance(60)
    desk.look(alert)
    assert len(heard) == 2
    assert f"it answered {status}" in str(desk.logged()[0]["why"])
    assert "secret" not in desk.log.getvalue()
    assert b"secret" not in b"".join(one.read_bytes() for one in desk.folder.glob("burst*"))


def test_a_webhook_that_nobody_serves_is_tried_again(desk: Desk) -> None:
    desk.book.reserve(wanted(1, 6))
    desk.look(Alert(webhook="http://127.0.0.1:1/"))
    assert "no answer" in str(desk.logged()[0]["why"])


def test_a_ledger_that_cannot_be_read_is_logged_and_no_more(desk: Desk) -> None:
    desk.book.reserve(wanted(1, 6))
    watch = Alerts(desk.book, Log("json", desk.log), desk.clock)
    desk.book.close()
    watch.look(Policy(alerts=(Alert(command=("/bin/true",)),)))
    assert desk.logged()[0]["event"] == "budget alert"


class Silent:
    """An audit that keeps nothing."""

    def note(self, event: str, **fields: object) -> None:
        """See Auditor."""


def test_the_controller_tells_and_writes_the_page_though_slurm_is_silent(desk: Desk) -> None:
    folder = desk.folder / "state"
    command = json.dumps(desk.command(WRITE).command)
    (desk.folder / "burst.toml").write_text(
        f'[[cap]]\nlevel = "site"\nper = "total"\nlimit = 10\n[[alert]]\ncommand = {command}\n'
    )
    site = Site(state_dir=str(folder), burst=BurstSite(policy=str(desk.folder / "burst.toml")))
    folder.mkdir()
    with Book(Book.path_in(folder), desk.clock, [cap(10)]) as book:
        book.reserve(wanted(1, 6))
    slurm = FakeSlurm(Cluster("t", (22, 5, 8), 0.0, (), (), ()))
    burst = Burst(slurm, Silent(), folder, log=Log("json", desk.log), clock=desk.clock)
    try:
        assert burst.cycle(Scene(site), 60.0), desk.log.getvalue()
        assert burst._room is not None, desk.log.getvalue()
        burst._room.alerts.wait()
    finally:
        burst.close()
    assert [one["share"] for one in desk.told()] == [0.5]
    page = json.loads((folder / "budget.json").read_text())
    assert page["caps"][0]["reserved"] == "6.00"
