"""The file: who may have it, and what is said when it is damaged or cannot be used."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger import store
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.reader import Reader
from hetslurm.errors import LedgerError

from .scenes import START, cap, intend, wanted

NOBODY = 65534


def fill(path: Path, jobs: int = 40) -> None:
    """A closed ledger of several pages."""
    with Book(path, FixedClock(START), [cap(1000)], cluster="t") as book:
        for job in range(1, jobs + 1):
            book.reserve(wanted(job))
            intend(book, f"c{job}")


def test_it_is_made_for_its_owner_alone(path: Path) -> None:
    old = os.umask(0)
    try:
        with Book(path, FixedClock(START), [cap(10)]) as book:
            book.reserve(wanted())
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(("burst.sqlite3", "burst.sqlite3-wal", "burst.sqlite3-shm"), 0o600)
    assert [one.name for one in path.parent.iterdir()] == ["burst.sqlite3"]


def test_every_commit_is_synced_to_disk(book: Book) -> None:
    assert book._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert book._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_many_who_make_it_at_once_get_one_and_the_same(path: Path) -> None:
    start, failures = threading.Barrier(8), []

    def go(job: int) -> None:
        start.wait()
        try:
            with Book(path, FixedClock(START), [cap(1000)], cluster="t") as book:
                book.reserve(wanted(job))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=go, args=(job,)) for job in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    with Book.reader(path) as reader:
        assert len(reader.open_reservations()) == 8
        assert reader.verify() == ()


def look_at(opening: Callable[[], Reader]) -> None:
    """Read all of it."""
    with opening() as book:
        book.open_reservations()
        book.history(1000)


def _group_can_read(path: Path) -> None:
    path.chmod(0o640)


def _is_a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _is_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def _wal_is_a_link(path: Path) -> None:
    path.with_name(f"{path.name}-wal").symlink_to("/etc/passwd")


def _folder_is_everybodys(path: Path) -> None:
    path.parent.chmod(0o777)


def _is_empty(path: Path) -> None:
    path.write_bytes(b"")


def _is_text(path: Path) -> None:
    path.write_text("reserved = 0 EUR\n"[:16] * 1024)


def _is_cut(path: Path) -> None:
    os.truncate(path, 4096 * 3)


def _is_cut_in_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def _is_another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE entries (seq)")
    path.chmod(0o600)


def _is_of_the_future(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def _has_another_journal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_group_can_read, "run: chmod 600"),
        (_is_a_link, "symbolic link"),
        (_is_a_folder, "not a regular file"),
        (_wal_is_a_link, "-wal is a symbolic link"),
        (_folder_is_everybodys, "run: chmod o-w"),
        (_is_empty, "the ledger was cut off"),
        (_is_text, "the ledger is damaged"),
        (_is_cut, "the ledger is damaged"),
        (_is_cut_in_a_page, "the ledger was cut off"),
        (_is_another_database, "no ledger of hetslurm"),
        (_is_of_the_future, "has layout 99"),
        (_has_another_journal, "journal mode delete"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_what_to_do(
    path: Path, harm: Callable[[Path], None], said: str
) -> None:
    fill(path)
    harm(path)
    for opening in (lambda: Book(path, FixedClock(START)), lambda: Book.reader(path)):
        with pytest.raises(LedgerError, match=said):
            look_at(opening)


def test_a_damaged_page_is_found_by_verify_or_refused(path: Path) -> None:
    fill(path)
    content = path.read_bytes()
    for at in range(4096, len(content), 4096):
        path.write_bytes(content[:at] + b"\x5a" * 4096 + content[at + 4096 :])
        assert problems_of(path), f"page {at // 4096}"


def problems_of(path: Path) -> tuple[str, ...]:
    """What is wrong, whether it can still be read or not."""
    try:
        with Book.reader(path) as reader:
            return reader.verify()
    except LedgerError as error:
        return (str(error),)


def test_a_torn_end_of_the_log_loses_only_what_was_never_promised(path: Path) -> None:
    with Book(path, FixedClock(START), [cap(1000)], cluster="t") as book:
        for job in range(1, 6):
            book.reserve(wanted(job))
        wal = Path(f"{path}-wal").read_bytes()
        kept = path.read_bytes()
    for cut in range(0, len(wal), 1337):
        copy = path.parent / f"copy{cut}" / path.name
        copy.parent.mkdir()
        for name, content in ((copy, kept), (Path(f"{copy}-wal"), wal[:cut])):
            name.write_bytes(content)
            name.chmod(0o600)
        with Book(copy, FixedClock(START), cluster="t") as book:
            assert book.verify() == ()
            done = len(book.open_reservations())
            for job in range(1, 6):
                book.reserve(wanted(job)) if done else None
            assert book.verify() == ()


def test_a_ledger_that_is_gone_while_its_log_is_there_is_not_begun_anew(path: Path) -> None:
    book = Book(path, FixedClock(START), [cap(10)])
    book.reserve(wanted())
    path.unlink()
    with pytest.raises(LedgerError, match="the ledger was lost"):
        Book(path, FixedClock(START))
    book.close()


def test_looking_makes_no_ledger(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        Book.reader(path)
    assert not path.exists()


def test_a_disk_that_cannot_be_written_is_told_before_anything_is_made() -> None:
    with pytest.raises(LedgerError, match="cannot be made"):
        Book(Path("/proc/burst.sqlite3"), FixedClock(START))


def run_as_nobody(code: str, path: Path) -> str:
    """What Python prints for somebody else; as ourselves where we are not root."""
    us = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if not os.getuid() else {}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(path)], capture_output=True, text=True, check=False, **us
    )
    return done.stdout + done.stderr


def test_a_ledger_on_a_read_only_folder_grants_nothing(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.reader import Reader
from hetslurm.errors import LedgerError
path = Path(sys.argv[1])
Book(path, FixedClock(1.7e9)).close()
path.chmod(0o400)
path.parent.chmod(0o500)
try:
    with Book(path, FixedClock(1.7e9)) as book:
        book.beat()
except LedgerError as error:
    print("refused:", error)
finally:
    path.parent.chmod(0o700)
"""
    folder = Path("/tmp") / f"hetslurm-ro-{os.getpid()}"
    folder.mkdir(0o700)
    try:
        if not os.getuid():
            os.chown(folder, NOBODY, NOBODY)
        said = run_as_nobody(code, Book.path_in(folder))
    finally:
        for one in folder.iterdir():
            one.unlink()
        folder.rmdir()
    assert said.startswith("refused: "), said
    assert "check the disk, its mount and its permissions" in said


def test_a_full_disk_changes_nothing(path: Path) -> None:
    fill(path, 2)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        status = 3
        with Book(path, FixedClock(START)) as book:
            before = book.head()
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            try:
                book.reserve(wanted(9))
            except LedgerError as error:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
                said = "no space" in str(error) or "check the disk" in str(error)
                status = 0 if said and book.head() == before else 4
        os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 0
    with Book(path, FixedClock(START)) as book:
        assert book.verify() == ()
        assert book.reserve(wanted(9)).res_id == 3


def test_a_ledger_that_is_held_too_long_says_so(
    path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_S", 0.2)
    with Book(path, FixedClock(START)) as other:
        book._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another process has held the ledger for more than"):
            other.reserve(wanted())
        book._db.execute("ROLLBACK")
        assert other.reserve(wanted()).res_id == 1
