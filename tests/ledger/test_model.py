"""Whatever happens, in whatever order, through whichever of several open ledgers: reserved + spent ≤ cap.

A model that knows nothing of SQL keeps sums of its own, and the ledger must agree with it after every step.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer, Wanted
from hetslurm.cloudburst.policy import EACH, Cap, Level, Period, Purchase
from hetslurm.errors import BudgetExceeded, LedgerError, NoReservation

from .scenes import START

ATTEMPT_S = 3600.0
PAYERS = (
    Payer("phys", "ann", "blast"),
    Payer("phys", "bob"),
    Payer("chem", "ann"),
    Payer("chem", "cyd", "vasp"),
)
NODES = tuple(f"c{i}" for i in range(1, 6))
BOOKS = 3
Key = tuple[Level, str, Period]

payers = st.sampled_from(PAYERS)
amounts = st.integers(1, 40)
books = st.integers(0, BOOKS - 1)
keys = st.sampled_from(
    [
        *((Level.SITE, "", period) for period in Period),
        *((Level.ACCOUNT, name, period) for name in ("phys", EACH) for period in (Period.HOUR, Period.TOTAL)),
        *((Level.USER, name, Period.DAY) for name in ("ann", EACH)),
        (Level.WORKLOAD, EACH, Period.MONTH),
    ]
)
limits = st.one_of(st.integers(0, 300), st.just(10_000))


@dataclass
class Boot:
    """What the model knows of an instance."""

    generation: int
    price: int = 0
    launched_at: float = 0.0


@dataclass
class Held:
    """What the model knows of an open reservation. `attempt` is of one node."""

    payer: Payer
    nodes: tuple[str, ...]
    amount: int
    attempt: int
    expires_at: float
    spent: int = 0
    begun: bool = False
    live: dict[str, Boot] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return self.amount - self.spent


def begin_of(period: Period, at: float) -> str:
    """The period as text: readable, and written another way than the ledger's."""
    form = {Period.HOUR: "%Y-%m-%d %H", Period.DAY: "%Y-%m-%d", Period.MONTH: "%Y-%m", Period.TOTAL: ""}[
        period
    ]
    return datetime.fromtimestamp(at, UTC).strftime(form)


class LedgerMachine(RuleBasedStateMachine):
    """Several books on one file, one clock, one model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(
            tempfile.mkdtemp(prefix="hetslurm-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        )
        self.clock = FixedClock(START)
        self.path = Book.path_in(self.folder)
        self.books = [self.open() for _ in range(BOOKS)]
        self.held: dict[int, Held] = {}
        self.spent: dict[tuple[Level, str, Period, str], int] = {}
        self.file: dict[Key, int] = {}
        self.set: dict[Key, int] = {}
        self.generations = dict.fromkeys(NODES, 0)
        self.job = 0
        self.used_before: dict[tuple[Level, str, Period], int] = {}

    def open(self) -> Book:
        return Book(self.path, self.clock, cluster="t", by="test")

    def teardown(self) -> None:
        for book in self.books:
            book.close()
        shutil.rmtree(self.folder)

    # The model

    def limit(self, level: Level, name: str, period: Period) -> int | None:
        for key_name in (name,) if level is Level.SITE else (name, EACH):
            for table in (self.set, self.file):
                if (level, key_name, period) in table:
                    return table[(level, key_name, period)]
        return None

    def used(self, level: Level, name: str, period: Period) -> int:
        reserved = sum(one.left for one in self.held.values() if (level, name) in one.payer.scopes())
        return reserved + self.spent.get((level, name, period, begin_of(period, self.clock.now())), 0)

    def bound(self, payer: Payer) -> list[tuple[int, int]]:
        """(used, limit) of every cap that binds."""
        found = []
        for level, name in payer.scopes():
            for period in Period:
                limit = self.limit(level, name, period)
                if limit is not None:
                    found.append((self.used(level, name, period), limit))
        return found

    def fits(self, payer: Payer, amount: int) -> bool:
        bound = self.bound(payer)
        return bool(bound) and all(used + amount <= limit for used, limit in bound)

    def spend(self, res_id: int, cost: int) -> None:
        held = self.held[res_id]
        held.spent += cost
        for level, name in held.payer.scopes():
            for period in Period:
                key = (level, name, period, begin_of(period, self.clock.now()))
                self.spent[key] = self.spent.get(key, 0) + cost

    def wanted(self, payer: Payer, nodes: tuple[str, ...], attempt: int, attempts: int) -> Wanted:
        self.job += 1
        return Wanted(
            job_id=self.job,
            submit_at=int(START),
            payer=payer,
            partition="cloud",
            node_names=nodes,
            price_cap_micro=attempt,
            attempts=attempts,
            attempt_s=ATTEMPT_S,
            attempt_micro=attempt * len(nodes),
            amount_micro=attempt * len(nodes) * attempts,
            limit_s=60.0,
            expires_at=self.clock.now() + 7200,
        )

    def took(self, res_id: int, wanted: Wanted) -> None:
        one = wanted.attempt_micro // len(wanted.node_names)
        self.held[res_id] = Held(wanted.payer, wanted.node_names, wanted.amount_micro, one, wanted.expires_at)

    def is_taken(self, node: str) -> bool:
        return any(node in one.nodes for one in self.held.values())

    # What happens

    @initialize(
        data=st.data(),
        caps=st.dictionaries(keys, st.integers(50, 300), min_size=2, max_size=6),
        jobs=st.lists(st.tuples(payers, amounts, st.integers(1, 2)), min_size=2, max_size=4),
    )
    def begin(self, data: st.DataObject, caps: dict[Key, int], jobs: list[tuple[Payer, int, int]]) -> None:
        self.read_file(0, {(Level.SITE, "", Period.TOTAL): 900, **caps})
        for payer, attempt, attempts in jobs:
            self.reserve(0, data, payer, attempt, attempts)

    @rule(at=books, data=st.data(), payer=payers, attempt=amounts, attempts=st.integers(1, 2))
    def reserve(self, at: int, data: st.DataObject, payer: Payer, attempt: int, attempts: int) -> None:
        free = [node for node in NODES if not self.is_taken(node)]
        among = st.sampled_from([*free * 9, *NODES])
        nodes = data.draw(st.sets(among, min_size=1, max_size=3))
        wanted = self.wanted(payer, tuple(sorted(nodes)), attempt, attempts)
        busy = any(self.is_taken(node) for node in nodes)
        fits = self.fits(payer, wanted.amount_micro)
        try:
            granted = self.books[at].reserve(wanted)
        except LedgerError:
            assert busy
        except BudgetExceeded:
            assert not busy
            assert not fits
        else:
            assert not busy
            assert fits
            self.took(granted.res_id, wanted)
            assert self.books[at - 1].reserve(wanted) == granted

    @rule(at=books, data=st.data(), jobs=st.lists(st.tuples(payers, amounts), min_size=1, max_size=3))
    def reserve_some(self, at: int, data: st.DataObject, jobs: list[tuple[Payer, int]]) -> None:
        for payer, attempt in jobs:
            self.reserve(at, data, payer, attempt, 1)

    @rule(payer=payers, attempt=amounts)
    def two_at_once(self, payer: Payer, attempt: int) -> None:
        """Two threads, each with a book of its own, want the same; what fits for both, both get."""
        free = [node for node in NODES if not self.is_taken(node)][:2]
        if len(free) < 2:
            return
        asked = [self.wanted(payer, (node,), attempt, 2) for node in free]
        fit = self.fits(payer, asked[0].amount_micro) + self.fits(payer, 2 * asked[0].amount_micro)
        granted: dict[int, Wanted] = {}

        def go(book: Book, wanted: Wanted) -> None:
            try:
                granted[book.reserve(wanted).res_id] = wanted
            except BudgetExceeded:
                return

        threads = [threading.Thread(target=go, args=pair) for pair in zip(self.books, asked, strict=False)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(granted) == fit
        for res_id, wanted in granted.items():
            self.took(res_id, wanted)
        self.no_cap_is_passed()
        # Who was first is chance, and what follows from an example must not be.
        for res_id in sorted(granted):
            self.books[2].release(res_id, "raced")
            del self.held[res_id]

    @precondition(lambda self: self.held)
    @rule(at=books, data=st.data(), more=st.integers(0, 40), extra=st.integers(0, 80))
    def top_up(self, at: int, data: st.DataObject, more: int, extra: int) -> None:
        res_id = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held[res_id]
        attempt = held.attempt + more
        amount = held.amount + extra
        covered = amount - held.spent >= len(held.live) * attempt
        try:
            self.books[at].top_up(
                res_id,
                amount_micro=amount,
                attempt_micro=attempt * len(held.nodes),
                attempt_s=ATTEMPT_S,
                limit_s=60.0,
            )
        except BudgetExceeded:
            assert covered
            assert not self.fits(held.payer, amount - held.amount)
        except LedgerError:
            assert not covered
        else:
            assert covered
            assert not extra or self.fits(held.payer, amount - held.amount)
            held.amount, held.attempt = amount, attempt

    @rule(at=books, data=st.data())
    def intend(self, at: int, data: st.DataObject) -> None:
        held = [node for one in self.held.values() for node in one.nodes]
        self.boot(self.books[at], data.draw(st.sampled_from([*held, *NODES])))

    def boot(self, book: Book, node: str) -> None:
        """Start it if, and only if, its money covers it beside the others that live."""
        owner = next((one for one in self.held.values() if node in one.nodes), None)
        try:
            boot = book.intend(node, provider="local", billed_least_s=0.0)
        except NoReservation:
            assert owner is None or (
                node not in owner.live and owner.left < (len(owner.live) + 1) * owner.attempt
            )
            return
        assert owner is not None
        if node not in owner.live:
            assert owner.left >= (len(owner.live) + 1) * owner.attempt
            self.generations[node] += 1
            owner.live[node] = Boot(self.generations[node])
            owner.begun = True
        assert boot.generation == owner.live[node].generation == self.generations[node]

    @precondition(lambda self: any(one.live for one in self.held.values()))
    @rule(
        at=books,
        data=st.data(),
        what=st.sampled_from(["launch", "launch", "end", "end", "fail", "terminate"]),
    )
    def go_on(self, at: int, data: st.DataObject, what: str) -> None:
        """The next step of some live instance, which never costs more than it may."""
        book = self.books[at]
        live = [(res_id, node) for res_id, one in self.held.items() for node in sorted(one.live)]
        res_id, node = data.draw(st.sampled_from(live))
        held = self.held[res_id]
        boot = held.live[node]
        now = self.clock.now()
        match what:
            case "launch" if not boot.launched_at:
                boot.price = data.draw(st.integers(held.attempt // 2, held.attempt))
                boot.launched_at = now
                self.launch(book, node, boot)
            case "end" if boot.launched_at:
                self.end(book, res_id, node)
            case "fail" if not boot.launched_at:
                book.failed(node, boot.generation, "no capacity")
                del held.live[node]
            case "terminate":
                book.terminating(node, boot.generation, "idle")

    @precondition(lambda self: self.held)
    @rule(at=books, data=st.data())
    def run_for_an_hour(self, at: int, data: st.DataObject) -> None:
        """One attempt of all nodes of a reservation, as dear as it may be; one node is interrupted."""
        res_id = data.draw(st.sampled_from(sorted(self.held)))
        held, book = self.held[res_id], self.books[at]
        if held.live or held.left < held.attempt * len(held.nodes):
            return
        for node in held.nodes:
            self.boot(book, node)
            boot = held.live[node]
            boot.price, boot.launched_at = held.attempt, self.clock.now()
            self.launch(book, node, boot)
        self.clock.advance(ATTEMPT_S / 2)
        self.end(book, res_id, held.nodes[0])
        self.boot(book, held.nodes[0])
        self.clock.advance(ATTEMPT_S / 2)
        for node in held.nodes[1:]:
            self.end(book, res_id, node)

    def end(self, book: Book, res_id: int, node: str) -> None:
        """It is gone, at its deadline at the latest; an hour of it costs no more than an attempt."""
        boot = self.held[res_id].live.pop(node)
        ended_at = min(self.clock.now(), boot.launched_at + ATTEMPT_S)
        cost = -(-boot.price * int(ended_at - boot.launched_at) // 3600)
        assert book.ended(node, boot.generation, ended_at, "over").cost_micro == cost
        self.spend(res_id, cost)

    def launch(self, book: Book, node: str, boot: Boot) -> None:
        book.launched(
            node,
            boot.generation,
            instance_id=f"i-{node}-{boot.generation}",
            zone="z",
            purchase=Purchase.SPOT,
            instance_type="s",
            price_micro=boot.price,
            on_demand_micro=boot.price,
            launched_at=boot.launched_at,
        )

    @precondition(lambda self: self.held)
    @rule(at=books, data=st.data())
    def release(self, at: int, data: st.DataObject) -> None:
        res_id = data.draw(st.sampled_from(sorted(self.held)))
        try:
            self.books[at].release(res_id, "over")
        except LedgerError:
            assert self.held[res_id].live
        else:
            assert not self.held.pop(res_id).live

    @rule(at=books)
    def expire(self, at: int) -> None:
        gone = {one.res_id for one in self.books[at].expire()}
        late = {
            res_id
            for res_id, one in self.held.items()
            if not one.begun and one.expires_at <= self.clock.now()
        }
        assert gone == late
        for res_id in gone:
            del self.held[res_id]

    @rule(at=books, caps=st.dictionaries(keys, limits, max_size=4))
    def read_file(self, at: int, caps: dict[Key, int]) -> None:
        self.books[at].caps = [Cap(*key, limit) for key, limit in caps.items()]
        self.file = dict(caps)

    @rule(at=books, key=keys, limit=limits)
    def set_cap(self, at: int, key: Key, limit: int) -> None:
        before = dict(self.set)
        self.set[key] = limit
        level, name, period = key
        names = {name} if name != EACH else {n for one in PAYERS for lev, n in one.scopes() if lev is level}
        exact = {
            n for n in names if n == name or not {(level, n, period)} & (self.set.keys() | self.file.keys())
        }
        lowest = max((self.used(level, one, period) for one in exact), default=0)
        try:
            self.books[at].set_cap(Cap(*key, limit), "admin")
        except BudgetExceeded:
            assert lowest > limit
            self.set = before
        else:
            assert lowest <= limit or before.get(key) == limit

    @precondition(lambda self: self.set)
    @rule(at=books, data=st.data())
    def unset_cap(self, at: int, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.set)))
        self.books[at].unset_cap(*key)
        del self.set[key]

    @rule(seconds=st.sampled_from([60.0, 1800.0, 3600.0, 3600.0, 3600.0, 86400.0, 31 * 86400.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(at=books)
    def open_again(self, at: int) -> None:
        self.books[at].close()
        self.books[at] = self.open()

    # What must hold

    @invariant()
    def no_cap_is_passed(self) -> None:
        """Nothing is granted past a cap; under one that was lowered, what is used only falls."""
        used = {}
        for one in self.books[0].usage():
            key = (one.cap.level, one.name, one.cap.period)
            assert one.used_micro == self.used(*key)
            assert one.cap.limit_micro == self.limit(*key)
            used[key] = one.used_micro
            if one.used_micro > one.cap.limit_micro:
                assert one.used_micro <= self.used_before.get(key, one.used_micro)
        self.used_before = {
            (level, name, period): self.used(level, name, period)
            for level, name in {scope for payer in PAYERS for scope in payer.scopes()}
            for period in Period
        }

    @invariant()
    def the_books_agree_with_the_model(self) -> None:
        for book in self.books:
            shown = {one.res_id: (one.amount_micro, one.spent_micro) for one in book.open_reservations()}
            assert shown == {res_id: (one.amount, one.spent) for res_id, one in self.held.items()}
        live = {(one.node, one.generation) for one in self.books[1].instances()}
        assert live == {
            (node, boot.generation) for one in self.held.values() for node, boot in one.live.items()
        }

    @invariant()
    def the_ledger_is_sound(self) -> None:
        assert self.books[2].verify() == ()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
