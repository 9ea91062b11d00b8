"""What the cloud cost, and whom: every micro-unit that was settled belongs to one row. Pure.

A row's money is told apart by what its instances did meanwhile (boot, run, idle), and set against two things:
the same instances at their on-demand price, and the wait that was expected on-premises when the jobs left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from math import ceil
from typing import Any

from hetslurm.cloudburst.ledger.costs import Costs, Run, Spending
from hetslurm.cloudburst.ledger.values import Instance, Reservation
from hetslurm.cloudburst.money import cost_micro

UNNAMED = "(none)"


class By(StrEnum):
    """What a row is of. A pool is a cloud partition; a workload is the app that a job names."""

    ACCOUNT = "account"
    USER = "user"
    JOB = "job"
    POOL = "pool"
    WORKLOAD = "workload"


@dataclass(frozen=True, slots=True)
class Row:
    """Money of one account, user, job, pool or workload; micro-units and seconds.

    `spent_micro` is the sum of boot, run and idle. `held_micro` is still set aside now, whatever time the
    report is of. Of `waits` jobs it is known both how long they would have waited on-premises and how long
    they did wait (`home_wait_s`, `waited_s`: sums). `nowhere` jobs were for the cloud only: their
    authors said so, or nothing on-premises could run them.
    """

    name: str
    jobs: int = 0
    instances: int = 0
    boot_s: float = 0.0
    run_s: float = 0.0
    idle_s: float = 0.0
    boot_micro: int = 0
    run_micro: int = 0
    idle_micro: int = 0
    on_demand_micro: int = 0
    held_micro: int = 0
    waits: int = 0
    home_wait_s: float = 0.0
    waited_s: float = 0.0
    nowhere: int = 0

    @property
    def spent_micro(self) -> int:
        """What was settled."""
        return self.boot_micro + self.run_micro + self.idle_micro

    @property
    def saved_micro(self) -> int:
        """What the same instances would have cost more at their on-demand price; negative: less."""
        return self.on_demand_micro - self.spent_micro

    @property
    def avoided_s(self) -> float:
        """Wait that was avoided; negative: the cloud was slower."""
        return self.home_wait_s - self.waited_s


@dataclass(frozen=True, slots=True)
class Report:
    """Rows, dearest first, and their sum. Times are Unix seconds; `until` None: up to `made_at`."""

    by: By
    currency: str
    since: float
    until: float | None
    made_at: float
    rows: tuple[Row, ...]
    total: Row

    def as_json(self) -> dict[str, Any]:
        """For programs: names of fields as here."""
        return {
            "by": str(self.by),
            "currency": self.currency,
            "since": self.since,
            "until": self.until,
            "made_at": self.made_at,
            "rows": [_json(row) for row in self.rows],
            "total": _json(self.total),
        }


def make_report(
    costs: Costs, by: By, *, currency: str, since: float, until: float | None, now: float
) -> Report:
    """The report of what the ledger gave for this time."""
    found: dict[tuple[object, ...], Row] = {}
    of: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for spending in costs.spendings:
        row = row_of(spending, costs)
        of[_key(costs.reservations[spending.res_id], by)].append(row)
    for res_id in sorted({spending.res_id for spending in costs.spendings}):
        reservation = costs.reservations[res_id]
        of[_key(reservation, by)].append(_wait(reservation, costs, since, until))
    for reservation in costs.reservations.values():
        if reservation.held_micro:
            of[_key(reservation, by)].append(Row("", held_micro=reservation.held_micro))
    jobs: dict[tuple[object, ...], set[tuple[object, ...]]] = defaultdict(set)
    for spending in costs.spendings:
        reservation = costs.reservations[spending.res_id]
        jobs[_key(reservation, by)].add(_key(reservation, By.JOB))
    for key, rows in of.items():
        found[key] = replace(add(str(key[0]), rows), jobs=len(jobs[key]))
    ordered = sorted(found.items(), key=lambda item: (-item[1].spent_micro, -item[1].held_micro, item[0]))
    rows_found = tuple(row for _, row in ordered)
    total = replace(add("total", rows_found), jobs=len(set().union(*jobs.values())))
    return Report(by, currency, since, until, now, rows_found, total)


def row_of(spending: Spending, costs: Costs) -> Row:
    """What one instance was paid for. One that was never seen to run a job only booted."""
    instance = spending.instance
    if instance is None or instance.ended_at is None:
        return Row("", instances=1, boot_micro=spending.spent_micro, on_demand_micro=spending.spent_micro)
    begun_at = instance.intended_at if instance.launched_at is None else instance.launched_at
    lasted_s = max(0.0, instance.ended_at - begun_at)
    billed_s = float(max(ceil(lasted_s), ceil(instance.billed_least_s)))
    runs = costs.runs.get((instance.node, instance.generation), ())
    boot_s, run_s, idle_s = split_time(runs, begun_at, begun_at + lasted_s, billed_s)
    boot, run, idle = share(spending.spent_micro, (boot_s, run_s, idle_s))
    return Row(
        "",
        instances=1,
        boot_s=boot_s,
        run_s=run_s,
        idle_s=idle_s,
        boot_micro=boot,
        run_micro=run,
        idle_micro=idle,
        on_demand_micro=_on_demand(instance, lasted_s, spending.spent_micro),
    )


def split_time(
    runs: Sequence[Run], begun_at: float, ended_at: float, billed_s: float
) -> tuple[float, float, float]:
    """Seconds of boot, run and idle: what is paid for is all of them, what comes between runs is idle."""
    first: float | None = None
    run_s, at = 0.0, begun_at
    for run in sorted(runs, key=lambda one: one.started_at):
        start = max(at, run.started_at)
        end = ended_at if run.ended_at is None else min(run.ended_at, ended_at)
        if end > start:
            first = start if first is None else first
            run_s += end - start
            at = end
    if first is None:
        return billed_s, 0.0, 0.0
    boot_s = first - begun_at
    return boot_s, run_s, max(0.0, billed_s - boot_s - run_s)


def share(micro: int, weights: Sequence[float]) -> tuple[int, ...]:
    """Whole micro-units in proportion, none lost; what rounding leaves goes where most was cut off."""
    parts = [round(weight * 1000) for weight in weights]
    whole = sum(parts)
    if not whole:
        return (micro, *(0 for _ in parts[1:]))
    shares = [micro * part // whole for part in parts]
    most_cut = sorted(range(len(parts)), key=lambda i: (-(micro * parts[i] % whole), i))
    for i in most_cut[: micro - sum(shares)]:
        shares[i] += 1
    return tuple(shares)


def add(name: str, rows: Iterable[Row]) -> Row:
    """Everything summed."""
    sums: dict[str, Any] = defaultdict(int)
    for row in rows:
        for one in fields(Row):
            if one.name != "name":
                sums[one.name] += getattr(row, one.name)
    return Row(name, **sums)


def _on_demand(instance: Instance, lasted_s: float, spent_micro: int) -> int:
    """At the on-demand price of the day of its launch; where nobody noted that, what was paid."""
    if not instance.on_demand_micro:
        return spent_micro
    return cost_micro(instance.on_demand_micro, lasted_s, least_s=instance.billed_least_s)


def _wait(reservation: Reservation, costs: Costs, since: float, until: float | None) -> Row:
    """Counted once for a job, where it was first spent of its money."""
    res_id = reservation.res_id
    first_at = costs.first_spent_at.get(res_id)
    if first_at is None or first_at < since or (until is not None and first_at >= until):
        return Row("")
    if res_id not in costs.home_wait_s:
        return Row("")
    home_wait_s = costs.home_wait_s[res_id]
    if home_wait_s is None:
        return Row("", nowhere=1)
    starts = [
        run.started_at
        for spending in costs.spendings
        if spending.res_id == res_id and spending.instance is not None
        for run in costs.runs.get((spending.instance.node, spending.instance.generation), ())
    ]
    if not starts:
        return Row("")
    return Row("", waits=1, home_wait_s=home_wait_s, waited_s=max(0.0, min(starts) - reservation.created_at))


def _key(reservation: Reservation, by: By) -> tuple[object, ...]:
    """A row's name, and what else keeps it apart.

    Slurm uses a job's number again in the end; a requeue gives a job another submit time.
    """
    wanted = reservation.wanted
    match by:
        case By.ACCOUNT:
            return (wanted.payer.account or UNNAMED,)
        case By.USER:
            return (wanted.payer.user or UNNAMED,)
        case By.JOB:
            return (wanted.job_id, wanted.payer.user)
        case By.POOL:
            return (wanted.partition or UNNAMED,)
        case By.WORKLOAD:
            return (wanted.payer.workload or UNNAMED,)


def _json(row: Row) -> dict[str, Any]:
    return {
        **asdict(row),
        "spent_micro": row.spent_micro,
        "saved_micro": row.saved_micro,
        "avoided_s": row.avoided_s,
    }
