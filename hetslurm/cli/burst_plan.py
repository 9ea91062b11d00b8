"""`hetslurm burst plan`: what the policy would do with the queue as it is, without doing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, complain, print_json, print_table, say
from hetslurm.errors import ConfigError

if TYPE_CHECKING:
    from hetslurm.burst.plan import Money
    from hetslurm.clock import Clock
    from hetslurm.cloudburst.policy import Policy
    from hetslurm.cloudburst.provider.protocol import Quote

POOLS = (
    ("partition", "left"),
    ("instance", "left"),
    ("bought", "left"),
    ("an hour", "right"),
    ("free", "right"),
    ("", "left"),
)
JOBS = (
    ("job", "right"),
    ("user", "left"),
    ("account", "left"),
    ("waits", "right"),
    ("verdict", "left"),
    ("why", "left"),
    ("goes to", "left"),
    ("costs about", "right"),
    ("reserves", "right"),
)


def mount(app: typer.Typer) -> None:
    """Add the command to `hetslurm burst`."""
    app.command()(plan)


def plan(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show which waiting jobs would go to the cloud, where, for how much, and what keeps the others."""
    from dataclasses import replace  # noqa: PLC0415  imported here, so that --help is quick

    from hetslurm.burst.plan import make_plan, plan_json  # noqa: PLC0415
    from hetslurm.clock import SystemClock  # noqa: PLC0415
    from hetslurm.cloudburst.policy_file import load_policy  # noqa: PLC0415
    from hetslurm.config import find_config, load_site  # noqa: PLC0415
    from hetslurm.inventory import derive_pools  # noqa: PLC0415
    from hetslurm.slurm import choose_adapter  # noqa: PLC0415

    path = find_config(config)
    if path is None:
        raise ConfigError("there is no hetslurm.toml; say --config")
    site = load_site(path)
    if not site.burst.policy:
        raise ConfigError(f'{path}: [burst] names no policy; write policy = "/etc/hetslurm/burst.toml"')
    policy, clock = load_policy(Path(site.burst.policy), site.currency), SystemClock()
    adapter = choose_adapter(site.adapter)
    cluster = adapter.read_cluster()
    at_home = tuple(p for p in cluster.partitions if p.name not in policy.partitions)
    pools = derive_pools(replace(cluster, partitions=at_home), site)
    money = _money(policy, Path(site.state_dir), clock)
    quotes = _quotes(policy, clock)
    found = plan_json(make_plan(policy, site, cluster, pools, quotes, money, adapter, clock.now()), policy)
    if as_json:
        print_json(found)
    else:
        render(found)


def render(found: dict[str, Any]) -> None:
    """The plan for people."""
    currency = found["currency"]
    print_table("cloud pools", POOLS, [_pool_row(pool, currency) for pool in found["pools"]])
    if not found["jobs"]:
        say("no waiting job says burst=allow or burst=only")
        return
    print_table("waiting jobs that may burst", JOBS, [_job_row(job, currency) for job in found["jobs"]])
    counts = ", ".join(f"{count} {verdict}" for verdict, count in found["counts"].items() if count)
    say(f"{counts}; nothing was done")


def _pool_row(pool: dict[str, Any], currency: str) -> tuple[str, ...]:
    offering = pool["offering"]
    if offering is None:
        return (pool["partition"], "", "", "", "0", pool["why"] or "")
    place = f"{offering['purchase']} {offering['zone']}".strip()
    price = _money_text(offering["price_micro"], currency)
    return (pool["partition"], offering["instance_type"], place, price, str(pool["free"]), "")


def _job_row(job: dict[str, Any], currency: str) -> tuple[str, ...]:
    from hetslurm.cloudburst.admission import show_s  # noqa: PLC0415

    cloud = job["cloud"]
    waits = "" if job["wait_s"] is None else show_s(job["wait_s"])
    who = (str(job["job_id"]), job["user"], job["account"], waits, job["verdict"], job["why"])
    if cloud is None:
        return (*who, "", "", "")
    where = f"{cloud['target']} on {','.join(cloud['node_names']) or cloud['partition']}, {cloud['purchase']}"
    return (
        *who,
        where,
        _money_text(cloud["expected_micro"], currency),
        _money_text(cloud["worst_case_micro"], currency),
    )


def _money_text(micro: int, currency: str) -> str:
    return f"{micro / 1e6:.2f} {currency}"


def _money(policy: Policy, state_dir: Path, clock: Clock) -> Money:
    """What the ledger says; where there is none yet, every cap is unused."""
    from hetslurm.burst.plan import Money  # noqa: PLC0415
    from hetslurm.cloudburst.ledger.book import Book  # noqa: PLC0415
    from hetslurm.cloudburst.purse import Purse  # noqa: PLC0415

    path = Book.path_in(state_dir)
    if not path.exists():
        return Money(Purse(policy.caps, (), policy.currency), (), frozenset())
    book = Book.reader(path, clock)
    try:
        taken = {name for held in book.open_reservations() for name in held.wanted.node_names}
        taken |= {instance.node for instance in book.instances()}
        purse = Purse.of(book.caps_in_force(), book.usage(), policy.currency)
        return Money(purse, book.cooled(), frozenset(taken))
    finally:
        book.close()


def _quotes(policy: Policy, clock: Clock) -> dict[str, tuple[Quote, ...]]:
    """Prices as they are now; a provider that has none is said, and nothing goes there."""
    from hetslurm.burst.providers import open_provider  # noqa: PLC0415
    from hetslurm.cloudburst.provider.protocol import ProviderError  # noqa: PLC0415

    quotes: dict[str, tuple[Quote, ...]] = {}
    for site in policy.providers:
        provider = open_provider(site, clock)
        try:
            for pool in policy.pools:
                if pool.provider == site.name:
                    quotes[pool.partition] = provider.quotes(pool)
        except ProviderError as error:
            complain(f"warning: no prices from {site.name}: {error}")
        finally:
            provider.close()
    return quotes
