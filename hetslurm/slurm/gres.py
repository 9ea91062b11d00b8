"""Slurm's several ways to write generic resources and TRES, as values. Pure."""

from __future__ import annotations

import re

from hetslurm.cluster import Gres

_SUFFIX = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)", re.IGNORECASE)
_NONE = frozenset({"", "(null)", "N/A", "None"})


def parse_count(text: str) -> int | None:
    """`4`, `2K` or `1.5M` as a whole number (factor 1024); None for anything else."""
    found = _COUNT.fullmatch(text)
    if not found:
        return None
    return round(float(found[1]) * _SUFFIX.get(found[2].upper(), 1))


def parse_mem_mb(text: str) -> int | None:
    """`500M`, `62.50G`, `1T` or plain MiB, rounded up; None for anything else."""
    found = _COUNT.fullmatch(text)
    if not found:
        return None
    factor = _SUFFIX[found[2].upper() or "M"]
    return -int(-float(found[1]) * factor // (1 << 20))


def parse_gres(text: str) -> tuple[Gres, ...]:
    """A node's `Gres=` and `GresUsed=`, a job's `tres-per-node`: every form from 22.05 to 26.05.

    `gpu:a100:2(S:0-1)`, `gres:gpu:1`, `gres/gpu:a100:1`, `gres/gpu=2`, `gpu`. GRES that no job can use up
    (`no_consume`) and TRES that are none (`cpu:4`) are left out; parts of the same name and type are
    added up.
    """
    counts: dict[tuple[str, str], int] = {}
    if text in _NONE:
        return ()
    for item in re.sub(r"\([^)]*\)", "", text).split(","):
        gres = _parse_item(item.strip())
        if gres:
            key = (gres.name, gres.type)
            counts[key] = counts.get(key, 0) + gres.count
    return tuple(Gres(name, kind, count) for (name, kind), count in counts.items())


def _parse_item(item: str) -> Gres | None:
    for prefix in ("gres:", "gres/"):
        if item.startswith(prefix):
            item = item[len(prefix) :]
            break
    parts = item.replace("=", ":").split(":")
    if not parts[0] or parts[0] in {"cpu", "license"} or "no_consume" in parts:
        return None
    count = parse_count(parts[-1]) if len(parts) > 1 else None
    if count is not None:
        parts.pop()
    return Gres(parts[0], parts[1] if len(parts) > 1 else "", 1 if count is None else count)


def parse_tres(text: str) -> dict[str, int]:
    """`cpu=4,mem=62.50G,gres/gpu:a100=2` as {"cpu": 4, "mem": 64000, "gres/gpu:a100": 2}; memory in MiB."""
    found: dict[str, int] = {}
    if text in _NONE:
        return found
    for item in text.split(","):
        name, _, value = item.partition("=")
        count = parse_mem_mb(value) if name == "mem" else parse_count(value)
        if count is not None:
            found[name] = count
    return found


def gres_of_tres(tres: dict[str, int], nodes: int) -> tuple[Gres, ...]:
    """The GRES in a job's TRES, per node and rounded up; typed entries win over their name's total."""
    found: dict[str, list[Gres]] = {}
    for key, total in tres.items():
        if not key.startswith("gres/") or total <= 0:
            continue
        name, _, kind = key[len("gres/") :].partition(":")
        found.setdefault(name, []).append(Gres(name, kind, -(-total // max(nodes, 1))))
    return tuple(g for gs in found.values() for g in ([g for g in gs if g.type] or gs))


def render_gres(gres: tuple[Gres, ...]) -> str:
    """`gpu:a100:1,fpga:2`: what `Gres=` of scontrol takes in every release, which adds its own prefix."""
    return ",".join(":".join(p for p in (g.name, g.type, str(g.count)) if p) for g in gres)
