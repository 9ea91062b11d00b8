"""Every crash of a whole life of the ledger: `crash_child.py FOLDER`, with kill_at.so loaded before libc.

Prints, as JSON, at how many steps a life can be cut, how many children were killed, and what was wrong.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer, Wanted
from hetslurm.cloudburst.policy import Cap, Level, Period, Purchase
from hetslurm.errors import BudgetExceeded, HetslurmError

START = 1_700_000_000.0
PAYER = Payer("phys", "ann", "blast")
CAPS = [
    Cap(Level.SITE, "", Period.TOTAL, 8_000_000),
    Cap(Level.USER, "*", Period.DAY, 6_000_000),
    Cap(Level.ACCOUNT, "phys", Period.HOUR, 6_000_000),
]


def wanted(job_id: int, amount: int, nodes: tuple[str, ...], expires_in: float) -> Wanted:
    """One of the jobs of the life below."""
    return Wanted(
        job_id=job_id,
        submit_at=1,
        payer=PAYER,
        partition="cloud",
        node_names=nodes,
        price_cap_micro=4_000_000,
        attempts=2,
        attempt_s=1000.0,
        attempt_micro=amount // 2,
        amount_micro=amount,
        limit_s=600.0,
        expires_at=START + expires_in,
    )


def live(path: Path) -> None:
    """Everything a ledger does. Each step looks first at what is done already, as the programs do."""
    with Book(path, FixedClock(START), CAPS, cluster="t", by="test") as book:
        _reserve(book)
        _boot(book)
        _settle(book)
        _change_caps(book)
        book.release(1, "job over")
        book.cool("cloud", "here", Purchase.SPOT, "capacity", START + 60, "none left")
        book.beat()


def _reserve(book: Book) -> None:
    for one in (wanted(1, 4_000_000, ("c1", "c2"), 900), wanted(2, 1_000_000, ("c3",), 0)):
        if book.reservation_of_job(one.job_id, 1) is None:
            book.reserve(one)
    if book.reservation(1).state.is_open:
        try:
            book.reserve(wanted(3, 4_000_000, ("c4",), 900))
        except BudgetExceeded:
            return
        raise AssertionError("the cap was broken")


def _boot(book: Book) -> None:
    for node, generation in (("c1", 1), ("c2", 1)):
        if book.instance_of(node) is None:
            book.intend(node, provider="local", billed_least_s=60.0)
        book.ordered(
            node, generation, instance_type="s", purchase=Purchase.SPOT, zone="here", price_micro=1_000_000
        )
    _launched(book, "c1", 1)
    book.failed("c2", 1, "no capacity")
    newest = book.instance_of("c2")
    if newest is not None and newest.generation == 1:
        book.intend("c2", provider="local", billed_least_s=60.0)
    _launched(book, "c2", 2)


def _launched(book: Book, node: str, generation: int) -> None:
    book.launched(
        node,
        generation,
        instance_id=f"i-{node}",
        zone="here",
        purchase=Purchase.SPOT,
        instance_type="s",
        price_micro=1_000_000,
        on_demand_micro=3_000_000,
        launched_at=START,
    )


def _settle(book: Book) -> None:
    if book.reservation(1).state.is_open:
        book.top_up(1, amount_micro=4_600_000, attempt_micro=2_300_000, attempt_s=1100.0, limit_s=700.0)
    book.terminating("c1", 1, "idle")
    book.ended("c1", 1, START + 500, "gone")
    book.ended("c2", 2, START + 700, "interrupted")
    book.expire()


def _change_caps(book: Book) -> None:
    if not book.read_note("was set"):
        book.set_cap(Cap(Level.SITE, "", Period.TOTAL, 7_000_000), "admin")
        book.note("was set", "yes")
    if any(one.source == "set" for one in book.caps_in_force()):
        book.unset_cap(Level.SITE, "", Period.TOTAL, "admin")


def problems(path: Path) -> list[str]:
    """What is wrong with a ledger as it stands."""
    if not path.exists():
        return []
    with Book.reader(path, FixedClock(START)) as book:
        over = [f"over: {one}" for one in book.usage() if one.used_micro > one.cap.limit_micro]
        return [*book.verify(), *over]


def main(folder: Path) -> None:
    """Die at every call, whole and torn; then look, live again, and compare with a life without a crash."""
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    smooth = Book.path_in(folder / "smooth")
    library.arm(-1, 0)
    live(smooth)
    steps = [(call, 0) for call in range(1, library.counted() + 1)]
    steps += [(call, 1) for call, _ in steps if library.is_write(call)]
    with Book.reader(smooth) as book:
        right = (book.head(), book.usage(), book.reservations(), book.instances(live=False))

    killed, wrong = 0, []
    for call, tear in steps:
        path = Book.path_in(folder / f"{call}-{tear}")
        child = os.fork()
        if not child:
            library.arm(call, tear)
            live(path)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        try:
            found = problems(path)
            live(path)
            found += problems(path)
            with Book.reader(path) as book:
                now = (book.head(), book.usage(), book.reservations(), book.instances(live=False))
        except HetslurmError as error:
            found, now = [str(error)], right
        if now != right:
            found.append(f"another end: {now}")
        wrong += [f"call {call}, torn {tear}: {one}" for one in found]
        shutil.rmtree(path.parent)
    print(json.dumps({"steps": len(steps), "killed": killed, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
