"""burst.toml: text to a checked, frozen `Policy`.

`read_policy` is pure and finds every mistake at once; `PolicyFile` is the edge that follows a file as it
changes. The currency is hetslurm.toml's.
"""

from __future__ import annotations

import os
import tomllib
from decimal import Decimal
from pathlib import Path

from hetslurm.cloudburst.policy import CloudPool, Level, Policy, ProviderSite, Purchase, Spill
from hetslurm.cloudburst.policy_money import read_alert, read_cap, read_retry
from hetslurm.cloudburst.provider.settings import KINDS
from hetslurm.config.lines import key_lines
from hetslurm.config.problems import Problem, Problems, nearest
from hetslurm.config.table import Table
from hetslurm.errors import ConfigError

DAY_S = 86400.0
MONTH_S = 31 * DAY_S
_PURCHASES = tuple(purchase.value for purchase in Purchase)


class PolicyFile:
    """A Policy that follows its file. A change that is wrong leaves the old one in force and sets `error`.

    `policy` None: there is none (path None), or it never was right: then nothing is spent.
    """

    def __init__(self, path: Path | None, currency: str = "EUR") -> None:
        """Read the file. Never raises: what is wrong is in `error`."""
        self.path = path.absolute() if path else None
        self.currency = currency
        self.error: str | None = None
        self.policy: Policy | None = None
        self._seen: tuple[int, int, int] | None = None
        self.follow(force=True)

    def follow(self, *, force: bool = False) -> bool:
        """Read the file again when it changed (or `force`); True: something new is in force, or wrong."""
        stamp = self._stamp()
        if self.path is None or (stamp == self._seen and not force):
            return False
        self._seen = stamp
        before = (self.policy, self.error)
        try:
            self.policy, self.error = load_policy(self.path, self.currency), None
        except ConfigError as error:
            self.error = str(error)
        return before != (self.policy, self.error)

    def _stamp(self) -> tuple[int, int, int] | None:
        if self.path is None:
            return None
        try:
            status = os.stat(self.path)
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)


def load_policy(path: Path, currency: str = "EUR") -> Policy:
    """Read a file. ConfigError: it cannot be read, or every mistake in it, one a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: it is not UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_policy(text, str(path), currency)


def parse_policy(text: str, file: str = "burst.toml", currency: str = "EUR") -> Policy:
    """Text to a Policy. ConfigError holds every mistake, one a line."""
    policy, problems = read_policy(text, currency)
    if policy is None:
        raise ConfigError("\n".join(problem.render(file) for problem in problems))
    return policy


def read_policy(text: str, currency: str = "EUR") -> tuple[Policy | None, tuple[Problem, ...]]:
    """Text to a Policy, or to None and everything that is wrong."""
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        words, _, place = str(error).partition(" (at line ")
        line = place.split(",")[0]
        return None, (Problem("", f"not TOML: {words.lower()}", int(line) if line.isdigit() else 0),)
    problems = Problems(key_lines(text))
    root = Table(values, "", problems)
    policy = _policy(root, currency)
    root.done()
    found = problems.all()
    return (None, found) if found else (policy, ())


def looks_like_policy(text: str) -> bool:
    """Whether a TOML text has tables that only burst.toml has."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return bool(values.keys() & {"provider", "cap", "spill", "alert", "retry"})


def _policy(root: Table, currency: str) -> Policy:
    providers = root.table("provider")
    policy = Policy(
        currency=currency,
        providers=tuple(_provider(name, providers.table(name)) for name in providers.items()),
        pools=tuple(_pool(table) for table in root.tables("pool")),
        spill=_spill(root.table("spill")),
        caps=tuple(read_cap(table) for table in root.tables("cap")),
        alerts=tuple(read_alert(table) for table in root.tables("alert")),
        retry=read_retry(root.table("retry")),
    )
    _refuse_strangers(root, policy)
    _refuse_twins(root, policy)
    if not any(cap.level is Level.SITE for cap in policy.caps):
        root.refuse(
            "cap",
            'expected a [[cap]] with level = "site": without one nothing bounds what the site spends',
        )
    return policy


def _provider(name: str, table: Table) -> ProviderSite:
    kind = table.choice("kind", "", tuple(KINDS))
    if not kind:
        if "kind" not in table.items():
            table.refuse("kind", f"expected {' or '.join(map(_quoted, KINDS))}, found nothing")
        return ProviderSite(name, kind)
    site = ProviderSite(name, kind, KINDS[kind](table))
    table.done()
    return site


def _pool(table: Table) -> CloudPool:
    default = CloudPool("", "", "", (), 0)
    given = set(table.items())
    for key, example in (
        ("partition", "the name of a partition of CLOUD nodes"),
        ("provider", "the NAME of a [provider.NAME]"),
        ("instance_type", 'an instance type such as "c7i.4xlarge"'),
        ("max_price", "the most that one instance may cost an hour: without it nothing is launched"),
    ):
        if key not in given:
            table.refuse(key, f"expected {example}, found nothing")
    pool = CloudPool(
        partition=table.text("partition", ""),
        provider=table.text("provider", ""),
        instance_type=table.text("instance_type", ""),
        purchases=_purchases(table),
        max_price_micro=table.micro("max_price", -1),
        zones=table.ordered_texts("zones", ()),
        region=table.text("region", ""),
        boot_s=table.number("boot_s", default.boot_s, low=0, high=DAY_S),
        boot_timeout_s=table.number("boot_timeout_s", default.boot_timeout_s, low=1, high=DAY_S),
        idle_s=table.number("idle_s", default.idle_s, low=0, high=DAY_S),
        interruptions_per_hour=table.number(
            "interruptions_per_hour", default.interruptions_per_hour, low=0, high=60
        ),
        billed_least_s=table.number("billed_least_s", default.billed_least_s, low=0, high=DAY_S),
    )
    table.done()
    if pool.max_price_micro == 0:
        table.refuse("max_price", "expected an amount above 0: nothing dearer is launched")
    if pool.boot_s > pool.boot_timeout_s:
        table.refuse(
            "boot_s", f"expected no more than boot_timeout_s ({pool.boot_timeout_s:g}), found {pool.boot_s:g}"
        )
    return pool


def _purchases(table: Table) -> tuple[Purchase, ...]:
    words = table.ordered_texts("purchases", (Purchase.SPOT.value, Purchase.ON_DEMAND.value))
    if "purchases" in table.items() and not words:
        table.refuse("purchases", f"expected one or more of {', '.join(map(_quoted, _PURCHASES))}")
    for word in words:
        if word not in _PURCHASES:
            table.refuse("purchases", f'"{word}" is no way to pay{nearest(word, _PURCHASES)}')
    for word in sorted({word for word in words if words.count(word) > 1}):
        table.refuse("purchases", f'"{word}" is there twice')
    return tuple(Purchase(word) for word in dict.fromkeys(words) if word in _PURCHASES)


def _spill(table: Table) -> Spill:
    default = Spill()
    given = set(table.items())
    accounts, qos = _lower(table.texts("accounts")), _lower(table.texts("qos"))
    spill = Spill(
        min_wait_s=table.number("min_wait_s", default.min_wait_s, low=0, high=MONTH_S),
        queue_depth=table.whole("queue_depth", default.queue_depth, low=0, high=10_000_000),
        deadline=table.flag("deadline", default.deadline),
        preemptible_only=table.flag("preemptible_only", default.preemptible_only),
        accounts=accounts if "accounts" in given else None,
        deny_accounts=_lower(table.texts("deny_accounts")),
        qos=qos if "qos" in given else None,
        stays=table.texts("stays"),
        max_nodes_per_job=table.whole("max_nodes_per_job", default.max_nodes_per_job, low=1, high=10_000),
    )
    table.done()
    if both := sorted(accounts & spill.deny_accounts):
        table.refuse("deny_accounts", f'"{both[0]}" is in accounts, too')
    return spill


def _refuse_strangers(root: Table, policy: Policy) -> None:
    """A pool's provider must be one that the file declares."""
    names = {provider.name for provider in policy.providers}
    for number, pool in enumerate(policy.pools, start=1):
        if pool.provider and pool.provider not in names:
            hint = nearest(pool.provider, names) if names else ", and there is none at all"
            root.refuse(
                f"pool[{number}].provider", f"there is no [provider.{pool.provider}] in this file{hint}"
            )


def _refuse_twins(root: Table, policy: Policy) -> None:
    """Two entries for the same thing: which one holds would be a guess."""
    partitions: dict[str, int] = {}
    for number, pool in enumerate(policy.pools, start=1):
        first = partitions.setdefault(pool.partition, number)
        if first != number and pool.partition:
            root.refuse(f"pool[{number}].partition", f'"{pool.partition}" is the partition of pool[{first}]')
    caps: dict[tuple[str, str, str], int] = {}
    for number, cap in enumerate(policy.caps, start=1):
        first = caps.setdefault((cap.level, cap.name, cap.period), number)
        if first != number:
            root.refuse(f"cap[{number}]", f"has the same level, name and period as cap[{first}]")


def _lower(names: frozenset[str]) -> frozenset[str]:
    """Slurm lowers the names of accounts and QOS."""
    return frozenset(name.lower() for name in names)


def _quoted(word: str) -> str:
    return f'"{word}"'
