"""`hetslurm budget`: what may be spent, what was, by whom, and whether the ledger is sound."""

from __future__ import annotations

import os
import time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from hetslurm.cli.output import BAD_USAGE, ConfigOption, JsonOption, complain, print_json, print_table, say
from hetslurm.cli.site import site_to_look_at
from hetslurm.errors import BudgetError

if TYPE_CHECKING:
    from hetslurm.cloudburst.policy import Cap

app = typer.Typer(
    help="Money for cloud instances: caps, what is used of them, and the ledger.", no_args_is_help=True
)

NOT_SOUND = 1
_Word = TypeVar("_Word", bound=StrEnum)
AccountOption = Annotated[str, typer.Option("--account", help="Of this account only.")]
UserOption = Annotated[str, typer.Option("--user", help="Of this user only.")]


@app.command()
def show(
    account: AccountOption = "",
    user: UserOption = "",
    workload: Annotated[str, typer.Option("--workload", help="Of this app only.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every cap: its limit, what is reserved, spent and left, and where it comes from."""
    from hetslurm.burst.budget_facts import narrowed  # noqa: PLC0415
    from hetslurm.cli.budget_rows import CAP_COLUMNS, RESERVATION_COLUMNS, cap_row, reservation_row  # noqa: PLC0415

    site = site_to_look_at(config)
    facts, is_page = _facts(Path(site.state_dir), site.currency)
    facts = narrowed(facts, account=account, user=user, workload=workload)
    if as_json:
        print_json(facts)
        return
    if facts["caps"]:
        print_table(f"amounts in {site.currency}", CAP_COLUMNS, [cap_row(one) for one in facts["caps"]])
    else:
        say("no cap is in force: nothing is spent")
    if facts["reservations"]:
        print_table("", RESERVATION_COLUMNS, [reservation_row(one) for one in facts["reservations"]])
    if is_page:
        say(f"as of {facts['at']}")
    for one in facts["overruns"]:
        complain(
            f"OVERRUN of {one['spent']} {site.currency} at {one['at']}: {one['what']} (entry {one['seq']})"
        )


@app.command()
def history(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many entries, the newest.")] = 50,
    before: Annotated[int | None, typer.Option("--before", help="Only entries before this number.")] = None,
    account: AccountOption = "",
    user: UserOption = "",
    job: Annotated[int | None, typer.Option("--job", help="Of this job only.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="reserve, top-up, commit, spend, overrun, …")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the ledger's entries, oldest first."""
    from hetslurm.burst.budget_facts import entry_facts  # noqa: PLC0415
    from hetslurm.cli.budget_rows import ENTRY_COLUMNS, entry_row  # noqa: PLC0415
    from hetslurm.cloudburst.ledger.reader import Reader  # noqa: PLC0415

    site = site_to_look_at(config)
    with Reader(Reader.path_in(site.state_dir)) as book:
        found = book.history(limit, before=before, account=account, user=user, job_id=job, kind=kind)
    facts = [entry_facts(entry) for entry in found]
    if as_json:
        print_json({"currency": site.currency, "entries": facts})
    elif facts:
        print_table(f"amounts in {site.currency}", ENTRY_COLUMNS, [entry_row(one) for one in facts])
    else:
        say("no such entry")


@app.command("set")
def set_cap(
    whom: Annotated[
        str,
        typer.Argument(metavar="WHOM", help="site, account:NAME, user:NAME, workload:NAME; NAME * is each."),
    ],
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="hour, day, month or total.")],
    amount: Annotated[
        str, typer.Argument(metavar="[AMOUNT]", help="In the site's currency, such as 250.50.")
    ] = "",
    unset: Annotated[
        bool, typer.Option("--unset", help="Take back what was set: burst.toml's cap counts again.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a cap by hand, over that of burst.toml, until it is taken back."""
    from hetslurm.clock import SystemClock  # noqa: PLC0415
    from hetslurm.cloudburst.ledger.book import Book  # noqa: PLC0415
    from hetslurm.cloudburst.ledger.caps import describe  # noqa: PLC0415
    from hetslurm.cloudburst.ledger.reader import Reader  # noqa: PLC0415
    from hetslurm.cloudburst.money import text_of  # noqa: PLC0415

    if unset == bool(amount):
        complain("hetslurm: say either an AMOUNT or --unset")
        raise typer.Exit(BAD_USAGE)
    site = site_to_look_at(config)
    cap = parse_cap(whom, period, amount or "0")
    path = Book.path_in(site.state_dir)
    Reader(path).close()  # a ledger is made by the controller, not by a wrong --config
    with Book(path, SystemClock()) as book:
        if unset:
            book.unset_cap(cap.level, cap.name, cap.period)
        else:
            book.set_cap(cap)
        now = next(
            (one for one in book.caps_in_force() if _same(one.cap, cap)),
            None,
        )
    if as_json:
        limit = now.cap.limit_micro if now else None
        print_json(
            {
                "level": cap.level,
                "name": cap.name,
                "period": cap.period,
                "limit_micro": limit,
                "source": now.source if now else None,
            }
        )
    elif now is None:
        say(f"no cap of {describe(cap)} is left")
    else:
        say(f"the cap of {describe(cap)} is {text_of(now.cap.limit_micro)} {site.currency} ({now.source})")


@app.command()
def verify(
    expect: Annotated[
        str,
        typer.Option(
            "--expect",
            "--head",
            metavar="HASH",
            help="A head that was printed before and must still be in it.",
        ),
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the ledger against itself; exit code 1 when something is wrong.

    Keep the head that it prints somewhere else: with --expect a ledger that was cut or rewritten shows.
    """
    from hetslurm.cloudburst.ledger.reader import Reader  # noqa: PLC0415

    site = site_to_look_at(config)
    with Reader(Reader.path_in(site.state_dir)) as book, book.at_once():
        head = book.head()
        problems = book.verify(expect)
    if as_json:
        print_json(
            {"sound": not problems, "problems": list(problems), "entries": head.seq, "head": head.hash}
        )
    elif not problems:
        say(f"sound: {head.seq} entries, head {head.hash}")
    for problem in problems if not as_json else ():
        complain(problem)
    if problems:
        raise typer.Exit(NOT_SOUND)


def parse_cap(whom: str, period: str, amount: str) -> Cap:
    """`account:phys`, `day`, `250.50` as a Cap. BudgetError says what was expected."""
    from hetslurm.cloudburst.money import micro_of  # noqa: PLC0415
    from hetslurm.cloudburst.policy import Cap, Level, Period  # noqa: PLC0415

    level, _, name = whom.partition(":")
    level_of = _word(Level, level, "whose cap")
    period_of = _word(Period, period, "a period")
    try:
        money = Decimal(amount)
    except InvalidOperation:
        money = Decimal("NaN")
    if not money.is_finite() or money < 0:
        raise BudgetError(f'expected an amount of money such as 250.50, found "{amount}"')
    return Cap(level_of, name.lower() if level_of is Level.ACCOUNT else name, period_of, micro_of(money))


def _facts(state_dir: Path, currency: str) -> tuple[dict[str, Any], bool]:
    """From the ledger; for those whom it does not let in from the controller's page, True then."""
    from hetslurm.burst.budget_facts import gather  # noqa: PLC0415
    from hetslurm.burst.budget_page import read_page  # noqa: PLC0415
    from hetslurm.cloudburst.ledger.reader import Reader  # noqa: PLC0415

    path = Reader.path_in(state_dir)
    page = None if is_ours(path) else read_page(state_dir)
    if page is not None:
        return page, True
    with Reader(path) as book:
        return gather(book, currency, time.time()), False


def is_ours(path: Path) -> bool:
    """Whether we may open a file that is its owner's alone."""
    try:
        return os.geteuid() in (0, path.lstat().st_uid)
    except OSError:
        return False


def _word(words: type[_Word], text: str, what: str) -> _Word:
    try:
        return words(text)
    except ValueError as error:
        raise BudgetError(f'expected {what}: {", ".join(words)}; found "{text}"') from error


def _same(one: Cap, other: Cap) -> bool:
    return (one.level, one.name, one.period) == (other.level, other.name, other.period)
