"""[bus], [agent], [health] and [metrics] of hetslurm.toml: how nodes are looked at, and what follows."""

from __future__ import annotations

import re
from dataclasses import replace

from hetslurm.config.problems import nearest
from hetslurm.config.table import Table
from hetslurm.health.rule_names import RULE_NAMES
from hetslurm.site import AgentSite, BusSite, DrainSite, HealthSite, MetricsSite
from hetslurm.telemetry import PROBES

_ENDPOINT = re.compile(r"tcp://(?:\*|\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9_.-]+):(?:\d{1,5}|\*)")
_DAY_S = 86400.0
_LONGEST_BEAT_S = 300.0


def read_bus(table: Table) -> BusSite:
    """[bus]. Endpoints are `tcp://host:port`; `listen = ""` takes no reports."""
    default = BusSite()
    listen = table.maybe_empty_text("listen", default.listen)
    if listen and not _is_endpoint(listen):
        table.refuse("listen", f'expected "tcp://ADDRESS:PORT", or "" for no bus, found "{listen}"')
    connect = table.ordered_texts("connect", default.connect)
    for endpoint in connect:
        if not _is_endpoint(endpoint) or "*" in endpoint:
            table.refuse(
                "connect", f'expected "tcp://HOST:PORT" of a controller or relay, found "{endpoint}"'
            )
    bus = BusSite(
        listen=listen,
        connect=connect,
        keys_dir=table.absolute_path("keys_dir", default.keys_dir),
        beat_s=table.number("beat_s", default.beat_s, low=0.1, high=_LONGEST_BEAT_S),
    )
    table.done()
    return bus


def read_agent(table: Table) -> AgentSite:
    """[agent]."""
    default = AgentSite()
    probes = table.texts("probes", default.probes)
    if wrong := sorted(probes - set(PROBES)):
        table.refuse("probes", f'"{wrong[0]}" is no probe; there are {", ".join(PROBES)}')
    links = table.table("links")
    mounts = table.texts("mounts", default.mounts)
    if wrong := sorted(path for path in mounts if not path.startswith("/")):
        table.refuse("mounts", f'expected paths that start with /, found "{wrong[0]}"')
    agent = AgentSite(
        probes=probes,
        mounts=mounts,
        links={name: links.number(name, 0, low=0, high=1e7) for name in links.items()},
        kernel_log=table.absolute_path("kernel_log", default.kernel_log),
        deadline_s=table.number("deadline_s", default.deadline_s, low=0.1, high=600),
        measure_every_s=table.number("measure_every_s", default.measure_every_s, low=0, high=365 * _DAY_S),
        xclbin_dirs=table.texts("xclbin_dirs", default.xclbin_dirs),
        fake_dir=_maybe_path(table, "fake_dir"),
        notice_file=_maybe_path(table, "notice_file"),
    )
    table.done()
    return agent


def _maybe_path(table: Table, key: str) -> str:
    return table.absolute_path(key, "/") if key in table.items() else ""


def read_health(table: Table) -> HealthSite:
    """[health] with [health.limits] and [health.drain]."""
    default = HealthSite()
    limits = table.table("limits")
    for key in ("ignore", "store_only"):
        for rule in sorted(table.texts(key) - RULE_NAMES):
            table.refuse(key, f'"{rule}" is no rule{nearest(rule, RULE_NAMES)}')
    values = {
        name: limits.number(name, value, low=0, high=1e6, above=True)
        for name, value in default.limits.items()
    }
    limits.done()
    health = HealthSite(
        floor=table.number("floor", default.floor, low=0, high=1),
        silent_beats=table.number("silent_beats", default.silent_beats, low=1, high=1000),
        silent_share=table.number("silent_share", default.silent_share, low=0, high=1),
        clear_s=table.number("clear_s", default.clear_s, low=0, high=_DAY_S),
        ignore=table.texts("ignore", default.ignore),
        store_only=table.texts("store_only", default.store_only),
        limits=values,
        drain=_drain(table.table("drain")),
        steer=table.flag("steer", default.steer),
    )
    table.done()
    return health


def _drain(table: Table) -> DrainSite:
    default = DrainSite()
    drain = DrainSite(
        mode=table.choice("mode", default.mode, ("off", "dry-run", "on")),
        pool_share=table.number("pool_share", default.pool_share, low=0, high=1),
        burst_share=table.number("burst_share", default.burst_share, low=0, high=1),
        burst_window_s=table.number("burst_window_s", default.burst_window_s, low=1, high=_DAY_S),
        clear_s=table.number("clear_s", default.clear_s, low=0, high=7 * _DAY_S),
    )
    table.done()
    return drain


def read_metrics(table: Table) -> MetricsSite:
    """[metrics]: ports of 127.0.0.1."""
    ports = {name: table.whole(name, 0, low=0, high=65535) for name in ("controller_port", "agent_port")}
    table.done()
    if ports["controller_port"] and ports["controller_port"] == ports["agent_port"]:
        table.refuse("agent_port", "is the controller's port, too; a node can run both")
    return replace(MetricsSite(), **ports)


def _is_endpoint(text: str) -> bool:
    if not _ENDPOINT.fullmatch(text):
        return False
    port = text.rsplit(":", 1)[1]
    return port == "*" or 0 < int(port) <= 65535
