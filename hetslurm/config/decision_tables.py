"""[history], [rebind], [shadow_prices], [order] and [trace] of hetslurm.toml."""

from __future__ import annotations

from hetslurm.config.table import Table
from hetslurm.site import HistorySite, OrderSite, RebindSite, ShadowSite, TraceSite

_DAY_S = 86400.0


def read_history(table: Table) -> HistorySite:
    """[history]."""
    default = HistorySite()
    site = HistorySite(
        source=table.choice("source", default.source, ("auto", "sacct", "observed", "off")),
        keep_days=table.number("keep_days", default.keep_days, low=1, high=36500),
        keep_runs=int(table.number("keep_runs", default.keep_runs, low=100, high=1e8)),
        use=table.flag("use", default.use),
    )
    table.done()
    return site


def read_rebind(table: Table) -> RebindSite:
    """[rebind]."""
    default = RebindSite()
    site = RebindSite(
        mode=table.choice("mode", default.mode, ("off", "advise", "on")),
        min_gain_s=table.number("min_gain_s", default.min_gain_s, low=0, high=30 * _DAY_S),
        min_gain=table.number("min_gain", default.min_gain, low=0, high=1),
        settle_s=table.number("settle_s", default.settle_s, low=0, high=_DAY_S),
        moves_per_minute=table.number(
            "moves_per_minute", default.moves_per_minute, low=0, high=1e5, above=True
        ),
        moves_per_job=int(table.number("moves_per_job", default.moves_per_job, low=1, high=1e6)),
        filler_gres=table.text("filler_gres", default.filler_gres),
    )
    table.done()
    return site


def read_shadow(table: Table) -> ShadowSite:
    """[shadow_prices]."""
    default = ShadowSite()
    site = ShadowSite(
        mode=table.choice("mode", default.mode, ("off", "on")),
        every_s=table.number("every_s", default.every_s, low=1, high=_DAY_S),
        jobs=int(table.number("jobs", default.jobs, low=10, high=100_000)),
        min_jobs=int(table.number("min_jobs", default.min_jobs, low=1, high=100_000)),
        deadline_s=table.number("deadline_s", default.deadline_s, low=0.1, high=600),
    )
    if site.min_jobs > site.jobs:
        table.refuse("min_jobs", f"expected at most jobs ({site.jobs}), found {site.min_jobs}")
    table.done()
    return site


def read_order(table: Table) -> OrderSite:
    """[order]."""
    default = OrderSite()
    site = OrderSite(
        mode=table.choice("mode", default.mode, ("off", "short-first")),
        points=int(table.number("points", default.points, low=1, high=1e9)),
        shortest_s=table.number("shortest_s", default.shortest_s, low=1, high=365 * _DAY_S),
        longest_s=table.number("longest_s", default.longest_s, low=1, high=365 * _DAY_S),
    )
    if site.longest_s <= site.shortest_s:
        table.refuse(
            "longest_s", f"expected more than shortest_s ({site.shortest_s:g} s), found {site.longest_s:g}"
        )
    table.done()
    return site


def read_trace(table: Table) -> TraceSite:
    """[trace]."""
    endpoint = table.maybe_empty_text("endpoint", TraceSite().endpoint)
    if endpoint and not endpoint.startswith(("http://", "https://")):
        table.refuse("endpoint", f'expected "http://HOST:4318/v1/traces" or the like, found "{endpoint}"')
    table.done()
    return TraceSite(endpoint)
