"""Pending jobs that move: once a cycle, all are weighed again, and those that gain enough go, the best first.

Level-triggered: all follows from the queue, the pools and the ledger of moves as they are now. A job that
started, that its author or an admin holds, whose author named where it runs, or that left for the cloud,
is never touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from hetslurm.clock import Clock
from hetslurm.cluster import Cluster
from hetslurm.controller.audit import Audit
from hetslurm.controller.cycle import Plan, RecordedJob
from hetslurm.controller.event import Event, What
from hetslurm.controller.rebind_ledger import MINUTE_S, Move, RebindLedger, Who
from hetslurm.controller.rebind_look import Look, Seen, alike, who_of
from hetslurm.controller.rebind_mover import End, Mover
from hetslurm.controller.rebind_repair import Repairer
from hetslurm.controller.rebind_screen import NOWHERE_BETTER, Screen
from hetslurm.daemon.log import Log
from hetslurm.daemon.stop import Stop
from hetslurm.errors import SlurmError, SlurmUnavailable
from hetslurm.estimate import Source
from hetslurm.job import Request
from hetslurm.native.kernel import View
from hetslurm.rebinding.capability import read_moves
from hetslurm.rebinding.choose import by_gain
from hetslurm.rebinding.rate import Rate
from hetslurm.scoring import candidate_of
from hetslurm.site import Site
from hetslurm.slurm.protocol import JobUpdate, SlurmAdapter
from hetslurm.slurm.rebound import move_update, moved_record
from hetslurm.slurm.routes import steps

FIRST_RETRY_S, LAST_RETRY_S = 15.0, 600.0
# Of the queue age that moves were seen to cost, how much the newest one counts.
_NEWEST = 0.2


class Events(Protocol):
    """Where steps of jobs' paths are kept."""

    def add(self, events: Sequence[Event]) -> None:
        """Keep them."""
        ...


@dataclass(frozen=True, slots=True)
class RebindReport:
    """What a cycle did. `stays`: jobs that were looked at or skipped, by why they stay; times in seconds."""

    mode: str = "off"
    looked_at: int = 0
    would_gain: int = 0
    moved: int = 0
    advised: int = 0
    repaired: int = 0
    look_s: float = 0.0
    act_s: float = 0.0
    stays: Mapping[str, int] = field(default_factory=dict)


class Rebinder:
    """One a controller."""

    def __init__(
        self,
        adapter: SlurmAdapter,
        ledger: RebindLedger,
        audit: Audit,
        *,
        events: Events | None = None,
        log: Log,
        clock: Clock,
    ) -> None:
        self._adapter = adapter
        self._ledger = ledger
        self._events = events
        self._log = log
        self._clock = clock
        self._mover = Mover(adapter, ledger, audit, log, clock)
        self._repairer = Repairer(adapter, ledger, self._mover, log)
        self._rate: Rate | None = None
        self._requests: dict[str, Request | None] = {}
        self._screen = Screen()
        self._advised: dict[Who, str] = {}
        self._later: dict[Who, tuple[float, float]] = {}  # when to try again (monotonic), after which pause
        self._away_since: dict[str, float] = {}
        self._from = 0
        self._lost_age_s = 0.0
        self.totals: Counter[str] = Counter()
        self.report = RebindReport()

    def cycle(
        self, plan: Plan, cluster: Cluster, view: View, site: Site, *, until: float, stop: Stop
    ) -> RebindReport:
        """Do what there is time for (`until`: monotonic seconds), the rest in the next cycle.

        Raises SlurmUnavailable, HetslurmError (the ledger), OSError (the audit); what was begun is ended by
        the next cycle.
        """
        self._mover.moves = read_moves(cluster, site)
        for move, end, words in self._mover.finish():
            self._tell(move, end, words)
        if site.rebind.mode == "off":
            self.report = RebindReport()
            return self.report
        now = self._clock.monotonic()
        self._follow(plan, site, now)
        repaired = 0
        if site.rebind.mode == "on":
            repaired = self._repair(plan)
        look = Look(
            plan,
            cluster,
            view,
            site,
            self._clock.now(),
            moves=self._mover.moves,
            lost_age_s=self._lost_age_s,
            is_bad=self._ledger.is_bad,
            has_bad=self._ledger.has_bad,
            in_doubt=lambda pool: self._is_in_doubt(pool, site, now),
            requests=self._requests,
        )
        # A look that takes long leaves time to act on what it found.
        seen = self._look(look, plan, now + (until - now) / 2)
        looked = self._clock.monotonic()
        moved, advised = self._act(look, seen, site, until, stop)
        stays = look.skipped + Counter(one.verdict.why for one in seen if one.verdict.why)
        self.report = RebindReport(
            mode=site.rebind.mode,
            looked_at=len(seen) + look.skipped[NOWHERE_BETTER],
            would_gain=sum(one.verdict.goes for one in seen),
            moved=moved,
            advised=advised,
            repaired=repaired,
            look_s=looked - now,
            act_s=self._clock.monotonic() - looked,
            stays=_by_kind(stays),
        )
        return self.report

    def _follow(self, plan: Plan, site: Site, now: float) -> None:
        """Forget what is over; notice which pools are away, and since when."""
        waiting = {who_of(one.job).key for one in plan.recorded if one.job.state == "PENDING"}
        self._ledger.keep(waiting, self._clock.now())
        self._advised = {who: place for who, place in self._advised.items() if who.key in waiting}
        self._later = {who: later for who, later in self._later.items() if who.key in waiting}
        away = {pool.name for pool in plan.pools if pool.wait_source is Source.DEFAULT or pool.reasons}
        away |= {one.record.pool for one in plan.recorded} - {pool.name for pool in plan.pools}
        self._away_since = {name: self._away_since.get(name, now) for name in away}
        if self._rate is None:
            spent = self._ledger.moved_since(self._clock.now() - MINUTE_S)
            self._rate = Rate(site.rebind.moves_per_minute, now, spent)
        self._rate.follow(site.rebind.moves_per_minute)

    def _is_in_doubt(self, pool: str, site: Site, now: float) -> bool:
        """Away for so short a time that slurmctld may just have started."""
        since = self._away_since.get(pool)
        return since is not None and now - since < site.rebind.settle_s

    def _look(self, look: Look, plan: Plan, until: float) -> list[Seen]:
        """Weigh every job that may gain, or as many as there is time for, in turn."""
        jobs = self._screen.sift(look, [one for one in plan.recorded if one.job.state == "PENDING"])
        found: list[Seen] = []
        begin = self._from % max(1, len(jobs))
        self._from = 0
        for n, one in enumerate((*jobs[begin:], *jobs[:begin])):
            if self._clock.monotonic() > until:
                self._from = begin + n
                break
            if (seen := look.seen(one)) is not None:
                look.judge(seen)
                found.append(seen)
        found.sort(key=lambda one: (-one.one.job.priority, one.one.job.submit_at, one.one.job.job_id))
        return found

    def _act(self, look: Look, seen: list[Seen], site: Site, until: float, stop: Stop) -> tuple[int, int]:
        moved = advised = 0
        rate, on = self._rate, site.rebind.mode == "on"
        if rate is None:
            return 0, 0

        def weigh(n: int) -> float:
            verdict = look.judge(seen[n])
            return _worth(seen[n]) if verdict.goes else 0.0

        turns = by_gain([_worth(one) if one.verdict.goes else 0.0 for one in seen], weigh)
        left = rate.left(self._clock.monotonic())
        more = False
        while True:
            try:
                n = turns.send(more) if more else next(turns)
            except StopIteration:
                break
            more = False
            if stop.requested or self._clock.monotonic() > until or moved + advised >= left:
                break
            one = seen[n]
            if not on:
                advised += self._advise(look, one)
                look.accept(one)
            elif self._may_try(one.who):
                went = self._move(look, one)
                moved += went
                if went:
                    rate.take()
                else:
                    continue
            else:
                continue
            if one.has_more:
                one.taken += 1
                more = True
        return moved, advised

    def _advise(self, look: Look, seen: Seen) -> bool:
        """Say once what would be done. True: it was news."""
        best = seen.verdict.best
        if best is None:
            return False
        place, who = look.place(seen, best), seen.who
        if self._advised.get(who) == place:
            return False
        self._advised[who] = place
        self.totals["advised"] += 1
        self._add(who, What.ADVISED, _why(seen, place), _facts(seen, place))
        return True

    def _move(self, look: Look, seen: Seen) -> bool:
        who = seen.who
        try:
            return self._try(look, seen, who)
        except SlurmUnavailable:
            raise
        except (SlurmError, ValueError) as error:
            self._put_off(who, str(error))
            self.totals["refused"] += 1
            return False

    def _try(self, look: Look, seen: Seen, who: Who) -> bool:
        """Look again, closer, and go."""
        detail = self._adapter.read_job(seen.one.job.job_id)
        if not alike(seen.one.job, detail.job):
            look.skipped["changed a moment ago"] += 1
            return False
        if detail.restarts:
            look.skipped["ran before"] += 1
            self._later[who] = (float("inf"), 0.0)
            return False
        closer = look.seen(
            RecordedJob(replace(detail.job, priority=seen.one.job.priority), seen.one.record), detail
        )
        if closer is None:
            return False
        closer.taken = seen.taken
        verdict = look.judge(closer)
        if not verdict.goes or verdict.best is None:
            self._later[who] = (self._clock.monotonic() + FIRST_RETRY_S, FIRST_RETRY_S)
            return False
        seen.verdict = verdict
        place = look.place(closer, verdict.best)
        move, updates = self._planned(look, closer, who, place)
        end, words = self._mover.move(move, updates)
        self._tell(move, end, words, closer)
        if end is not End.MOVED:
            if end in {End.UNTOUCHED, End.PUT_BACK, End.BROKEN}:
                self._put_off(who, words or str(end))
            return False
        look.accept(closer)
        self._learn_cost(detail.eligible_at, who)
        return True

    def _planned(self, look: Look, seen: Seen, who: Who, place: str) -> tuple[Move, tuple[JobUpdate, ...]]:
        """The move, and the updates that make it."""
        best, job, record = seen.verdict.best, seen.one.job, seen.one.record
        if best is None:
            raise ValueError("it is to go nowhere")
        pool, way = look.pools[best[1]], look.way(seen, best)
        chosen = candidate_of(look.view, seen.request, best[0], best[1], look.terms(seen)[best])
        chosen = replace(chosen, score=seen.verdict.other)
        partition = look.partition(pool.partition)
        wanted = move_update(seen.request, seen.asked, record.pins, chosen, job, partition)
        text = moved_record(job.admin_comment, look.view.generation, chosen, record.moves + 1)
        before = job if who.task is None else replace(job, tasks=1, array_task=str(who.task))
        updates = steps(replace(wanted, admin_comment=text), way)
        after = updates[-1]
        now, why = self._clock.now(), _why(seen, place)
        move = Move(who, now, before, after, place, why, needs_hold=way.needs_hold)
        return move, updates

    def _repair(self, plan: Plan) -> int:
        """Jobs that we moved and that Slurm will not run where they are go back."""
        repaired = 0
        for event in self._repairer.repair(plan.recorded):
            repaired += 1
            self.totals["repaired"] += 1
            self._add(*event)
        return repaired

    def _learn_cost(self, eligible_at: float | None, who: Who) -> None:
        """The queue age that Slurm took from the job with the move: none on any release that was measured."""
        try:
            now = self._mover.read(who).eligible_at
        except SlurmError:
            return
        lost = max(0.0, now - eligible_at) if now is not None and eligible_at is not None else 0.0
        self._lost_age_s += _NEWEST * (lost - self._lost_age_s)

    def _may_try(self, who: Who) -> bool:
        return self._later.get(who, (0.0, 0.0))[0] <= self._clock.monotonic()

    def _put_off(self, who: Who, why: str) -> None:
        pause = min(LAST_RETRY_S, 2 * self._later.get(who, (0.0, FIRST_RETRY_S / 2))[1])
        self._later[who] = (self._clock.monotonic() + pause, pause)
        self._log.warning("job not moved", job=who.key.job_id, task=who.task, why=why, again_in_s=pause)

    def _tell(self, move: Move, end: End, words: str, seen: Seen | None = None) -> None:
        who = move.who
        if end is End.MOVED:
            self.totals["moved"] += 1
            facts: dict[str, object] = _facts(seen, move.place) if seen else {"to": move.place}
            self._add(who, What.MOVED, move.why, facts)
            self._log.info("moved job", job=who.key.job_id, task=who.task, to=move.place, why=move.why)
            return
        self.totals["not_moved"] += 1
        why = f"{move.place}: {end}" + (f": {words}" if words else "")
        self._add(who, What.NOT_MOVED, why, {"to": move.place})

    def _add(self, who: Who, what: What, why: str, facts: dict[str, object]) -> None:
        task = "" if who.task is None else str(who.task)
        if self._events is not None:
            self._events.add([Event(who.key, self._clock.now(), what, why, task, facts)])


def _worth(seen: Seen) -> float:
    """What a job gains, to be compared: seconds; one that can never run where it is comes first."""
    seconds = seen.verdict.gain.seconds
    return seconds if seconds < float("inf") else 1e15


def _why(seen: Seen, place: str) -> str:
    verdict, record = seen.verdict, seen.one.record
    if verdict.left_s == float("inf"):
        return f"it can no longer run on {record.pool}; {place}: done in {verdict.then_s:.0f} s"
    return (
        f"{place}: done in {verdict.then_s:.0f} s, on {record.pool} in {verdict.left_s:.0f} s;"
        f" score {verdict.other:.3g}, here {verdict.score:.3g}"
    )


def _facts(seen: Seen, place: str) -> dict[str, object]:
    verdict, record = seen.verdict, seen.one.record
    facts: dict[str, object] = {
        "from": f"{record.target} on {record.pool}",
        "to": place,
        "score": verdict.other,
        "then_s": verdict.then_s,
        "gain_s": verdict.gain.seconds,
        "gain": verdict.gain.share,
        "moves": record.moves + 1,
    }
    if verdict.left_s < float("inf"):
        facts |= {"score_here": verdict.score, "left_s": verdict.left_s}
    return facts


def _by_kind(stays: Counter[str]) -> dict[str, int]:
    """Reasons without their numbers, so that they are few."""
    kinds: Counter[str] = Counter()
    for why, count in stays.items():
        if "would gain" in why:
            kinds["would gain too little"] += count
        elif "to settle" in why:
            kinds["too young"] += count
        elif "times already" in why:
            kinds["moved often already"] += count
        else:
            kinds[why] += count
    return dict(kinds)
