"""The admin's facts of a pool: the entry that names most wins, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace

from hetslurm.estimate import Estimate, Source
from hetslurm.pool import Pool
from hetslurm.site import PoolFacts

_KEYS = ("partition", "kind", "type")


def facts_of(entries: Iterable[PoolFacts], partition: str, kind: str, type_: str) -> PoolFacts:
    """Every field from the most exact entry that has it.

    More names are more exact; of two with as many, the one that names the partition, then the type; of
    two that name the same, the later.
    """
    wanted = {"partition": partition, "kind": kind, "type": type_}
    fitting = [e for e in entries if all(getattr(e, key) in {"", wanted[key]} for key in _KEYS)]
    merged = PoolFacts(partition=partition, kind=kind, type=type_)
    for entry in sorted(fitting, key=_exactness):
        given = {f.name: getattr(entry, f.name) for f in fields(entry) if f.name not in _KEYS}
        merged = replace(merged, **{name: value for name, value in given.items() if value is not None})
    return merged


def with_facts(pool: Pool, facts: PoolFacts) -> Pool:
    """The pool with what the admin declared."""
    if facts.price_per_hour is not None:
        pool = replace(pool, price=facts.price_per_hour, price_source=Source.DECLARED)
    if facts.watts is not None:
        pool = replace(pool, watts=facts.watts, watts_source=Source.DECLARED)
    if facts.speed is not None:
        pool = replace(pool, speed=Estimate(facts.speed, Source.DECLARED))
    if facts.startup_s is not None:
        pool = replace(pool, startup_s=Estimate(facts.startup_s, Source.DECLARED))
    if facts.bitstream_s is not None:
        pool = replace(pool, bitstream_s=Estimate(facts.bitstream_s, Source.DECLARED))
    return pool


def _exactness(entry: PoolFacts) -> tuple[int, bool, bool]:
    named = [bool(getattr(entry, key)) for key in _KEYS]
    return sum(named), named[0], named[2]
