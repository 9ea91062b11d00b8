"""The keys of hetslurm.toml and what they may hold."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

from hetslurm.config.decision_tables import read_history, read_order, read_rebind, read_shadow, read_trace
from hetslurm.config.lines import key_lines
from hetslurm.config.node_tables import read_agent, read_bus, read_health, read_metrics
from hetslurm.config.problems import Problem, Problems
from hetslurm.config.table import Table
from hetslurm.errors import ConfigError
from hetslurm.site import BurstSite, DataSite, PoolFacts, Site, Weights

DAY_S = 86400.0
_CURRENCY_BYTES = 15  # struct het_slot keeps 16 with the NUL


def load_site(path: Path) -> Site:
    """Read a file. ConfigError: it cannot be read, or every mistake in it, one a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {_cause(error)}") from error
    return parse_site(text, str(path))


def parse_site(text: str, file: str = "hetslurm.toml") -> Site:
    """Text to a Site. ConfigError holds every mistake, one a line."""
    site, problems = read_site(text)
    if site is None:
        raise ConfigError("\n".join(problem.render(file) for problem in problems))
    return site


def read_site(text: str) -> tuple[Site | None, tuple[Problem, ...]]:
    """Text to a Site, or to None and everything that is wrong."""
    site, found = read_what_is_right(text)
    return (None, found) if found else (site, ())


def read_what_is_right(text: str) -> tuple[Site | None, tuple[Problem, ...]]:
    """As read_site, but keys that are wrong leave their defaults; None only for what is no TOML at all.

    For tools that look at a running system, whose controller goes on with the old configuration.
    """
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        words, _, place = str(error).partition(" (at line ")
        line = place.split(",")[0]
        return None, (Problem("", f"not TOML: {words.lower()}", int(line) if line.isdigit() else 0),)
    problems = Problems(key_lines(text))
    root = Table(values, "", problems)
    site = _site(root)
    root.done()
    return site, problems.all()


def _site(root: Table) -> Site:
    default = Site()
    controller, snapshot, objectives = (
        root.table("controller"),
        root.table("snapshot"),
        root.table("objectives"),
    )
    presets = _presets(objectives.table("weights"), default.presets)
    site = Site(
        currency=root.text("currency", default.currency, longest=_CURRENCY_BYTES),
        accelerator_nodes_take_cpu_jobs=root.flag(
            "accelerator_nodes_take_cpu_jobs", default.accelerator_nodes_take_cpu_jobs
        ),
        resource_gres=root.texts("resource_gres", default.resource_gres),
        cycle_s=controller.number("cycle_s", default.cycle_s, low=0.1, high=3600),
        state_dir=controller.absolute_path("state_dir", default.state_dir),
        adapter=controller.choice("adapter", default.adapter, ("auto", "commands", "pyslurm")),
        snapshot_path=snapshot.absolute_path("path", default.snapshot_path),
        snapshot_max_age_s=snapshot.number("max_age_s", default.snapshot_max_age_s, low=1, high=DAY_S),
        on_absent=snapshot.choice("on_absent", default.on_absent, ("hold", "reject")),
        default_objective=objectives.choice("default", default.default_objective, tuple(default.presets)),
        presets=presets,
        pools=tuple(_pool(table) for table in root.tables("pool")),
        data=tuple(_data(table) for table in root.tables("data")),
        bus=read_bus(root.table("bus")),
        agent=read_agent(root.table("agent")),
        health=read_health(root.table("health")),
        metrics=read_metrics(root.table("metrics")),
        burst=_burst(root.table("burst")),
        history=read_history(root.table("history")),
        rebind=read_rebind(root.table("rebind")),
        shadow=read_shadow(root.table("shadow_prices")),
        order=read_order(root.table("order")),
        trace=read_trace(root.table("trace")),
    )
    if site.snapshot_max_age_s < 2 * site.cycle_s:
        snapshot.refuse(
            "max_age_s",
            f"expected at least two cycles ({2 * site.cycle_s:g} s, controller.cycle_s is {site.cycle_s:g}), "
            f"found {site.snapshot_max_age_s:g}",
        )
    for table in (controller, snapshot, objectives):
        table.done()
    _refuse_twins(root, site)
    return site


def _presets(table: Table, defaults: dict[str, Weights]) -> dict[str, Weights]:
    presets = {name: _weights(table, name, weights) for name, weights in defaults.items()}
    table.done()
    return presets


def _weights(table: Table, name: str, default: Weights) -> Weights:
    if name not in table.items():
        table.table(name)
        return default
    inside = table.table(name)
    weights = Weights(
        time=inside.amount("time"),
        cost=inside.amount("cost"),
        energy=inside.amount("energy"),
        scarcity=inside.amount("scarcity"),
    )
    inside.done()
    if weights.time + weights.cost + weights.energy <= 0:
        table.refuse(name, "expected a weight above 0 for time, cost or energy, found none")
    return weights


def _pool(table: Table) -> PoolFacts:
    facts = PoolFacts(
        partition=table.text("partition", ""),
        kind=table.text("kind", ""),
        type=table.text("type", ""),
        price_per_hour=table.rates("price_per_hour", money=True),
        watts=table.rates("watts", money=False),
        speed=table.maybe_number("speed", low=0, high=1e6, above=True),
        startup_s=table.maybe_number("startup_s", low=0, high=DAY_S),
        bitstream_s=table.maybe_number("bitstream_s", low=0, high=DAY_S),
        ignore=table.maybe_flag("ignore"),
        dummy=table.maybe_flag("dummy"),
    )
    table.done()
    if facts.dummy and not (facts.partition and facts.kind not in ("", "cpu")):
        table.refuse(
            "dummy", 'expected partition and kind beside it, such as partition = "cpu", kind = "gpu"'
        )
    if facts.type and facts.kind in ("", "cpu"):
        table.refuse("type", 'expected a kind such as "gpu" beside it: cpu pools have no type')
    return facts


def _burst(table: Table) -> BurstSite:
    policy = table.absolute_path("policy", "/") if "policy" in table.items() else ""
    table.done()
    return BurstSite(policy)


def _data(table: Table) -> DataSite:
    rates, egress = table.table("gb_per_s"), table.table("egress_per_gb")
    site = DataSite(
        prefix=table.text("prefix", ""),
        gb_per_s={name: rates.number(name, 0, low=0, high=1e6, above=True) for name in rates.items()},
        egress_per_gb={name: egress.money(name) for name in egress.items()},
        stays=table.texts("stays"),
    )
    table.done()
    if "prefix" not in table.items():
        table.refuse(
            "prefix", 'expected where the data lives, such as "s3://lab/" or "/scratch/", found nothing'
        )
    return site


def _refuse_twins(root: Table, site: Site) -> None:
    """Two entries for the same thing: which one holds would be a guess."""
    pools: dict[tuple[str, str, str], int] = {}
    for number, facts in enumerate(site.pools, start=1):
        first = pools.setdefault((facts.partition, facts.kind, facts.type), number)
        if first != number:
            root.refuse(f"pool[{number}]", f"names the same partition, kind and type as pool[{first}]")
    prefixes: dict[str, int] = {}
    for number, data in enumerate(site.data, start=1):
        first = prefixes.setdefault(data.prefix, number)
        if first != number and data.prefix:
            root.refuse(f"data[{number}]", f"has the same prefix as data[{first}]")


def _cause(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
