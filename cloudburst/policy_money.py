"""[[cap]], [[alert]] and [retry] of burst.toml: what bounds money, who is told, what is tried again."""

from __future__ import annotations

import signal

from hetslurm.cloudburst.policy import EACH, Alert, Cap, Level, Period, Retry
from hetslurm.config.table import Table

_DAY_S = 86400.0
_LEVELS = tuple(level.value for level in Level)
_PERIODS = tuple(period.value for period in Period)


def read_cap(table: Table) -> Cap:
    """[[cap]]: `level`, `name` ("*": each; none for the site), `per` and `limit`."""
    given = set(table.items())
    for key, what in (
        ("level", _either(_LEVELS)),
        ("per", _either(_PERIODS)),
        ("limit", "an amount of money"),
    ):
        if key not in given:
            table.refuse(key, f"expected {what}, found nothing")
    level = Level(table.choice("level", Level.SITE.value, _LEVELS))
    name = table.text("name", "")
    if level is Level.SITE and "level" in given and name:
        table.refuse("name", f'expected none beside level = "site", found "{name}"')
    elif level is not Level.SITE and "name" not in given:
        table.refuse("name", f'expected the name of one {level.value}, or "{EACH}" for each, found nothing')
    cap = Cap(
        level=level,
        name=name.lower() if level is Level.ACCOUNT else name,
        period=Period(table.choice("per", Period.TOTAL.value, _PERIODS)),
        limit_micro=table.micro("limit", 0),
    )
    table.done()
    return cap


def read_alert(table: Table) -> Alert:
    """[[alert]]: a `command` or a `webhook`, `at` shares of a cap."""
    default = Alert()
    alert = Alert(
        at=tuple(sorted(set(table.numbers("at", default.at, low=0, high=1)))),
        command=table.ordered_texts("command", ()),
        webhook=table.text("webhook", ""),
    )
    table.done()
    if not alert.command and not alert.webhook and not {"command", "webhook"} & set(table.items()):
        table.refuse("command", "expected a command (a list) or a webhook (a URL), found neither")
    if alert.command and not alert.command[0].startswith("/"):
        table.refuse("command", f'expected a program whose path starts with /, found "{alert.command[0]}"')
    if alert.webhook and not alert.webhook.startswith(("http://", "https://")):
        table.refuse("webhook", f'expected an http:// or https:// URL, found "{alert.webhook}"')
    return alert


def read_retry(table: Table) -> Retry:
    """[retry] with [retry.cooldown_s]: a pause for each kind of trouble."""
    default = Retry()
    pauses = table.table("cooldown_s")
    cooldown_s = {
        trouble: pauses.number(trouble, pause, low=0, high=7 * _DAY_S)
        for trouble, pause in default.cooldown_s.items()
    }
    pauses.done()
    retry = Retry(
        requeues=table.whole("requeues", default.requeues, low=0, high=20),
        cooldown_s=cooldown_s,
        reservation_s=table.number("reservation_s", default.reservation_s, low=10, high=_DAY_S),
        guard_s=table.number("guard_s", default.guard_s, low=1, high=3600),
        heartbeat_s=table.number("heartbeat_s", default.heartbeat_s, low=5, high=3600),
        grace_s=table.number("grace_s", default.grace_s, low=0, high=3600),
        checkpoint_signal=_signal(table, default.checkpoint_signal),
    )
    table.done()
    return retry


def _signal(table: Table, default: str) -> str:
    name = table.text("checkpoint_signal", default)
    if f"SIG{name}" not in signal.Signals.__members__:
        table.refuse("checkpoint_signal", f'expected a signal such as "USR1" or "TERM", found "{name}"')
        return default
    return name


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(f'"{word}"' for word in words)
