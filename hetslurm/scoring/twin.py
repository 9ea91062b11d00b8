"""What the scoring kernel means, in NumPy: one job at a time, vectorized over pools.

Tests hold native/score.pyx to this file to the last bit, so the order of operations is part of it.
docs/architecture.md has the formulas.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hetslurm.native.kernel import CHOICE_DTYPE, TERMS_DTYPE
from hetslurm.native.layout import FOREVER, REASON_BITS, REASONS, WAIT_BOUNDS_MIN, name_hash
from hetslurm.scoring.tables import Tables

Floats = npt.NDArray[np.float64]
Record = Any  # one row of a structured array
WHY = REASON_BITS
PINNED = sum(WHY[name] for name in ("PARTITION_NAMED", "GRES_NAMED", "CONSTRAINT", "NODELIST"))
SOFT = sum(WHY[name] for name, soft, _ in REASONS if soft)
CPU = name_hash("cpu")
NO_ESTIMATE_S = 3600.0
TINY = 1e-9
NO_LIMIT = 2**31 - 1
MAX_LIMIT_MIN = 366 * 24 * 60
DEFAULT, DECLARED, PREDICTED = 0, 1, 2
NONE, SOFT_TIER, FEASIBLE = 0, 1, 2


def estimate_key(class_key: int, type_hash: int) -> int:
    """Where the run estimate of a class of jobs on a device type is found."""
    key = ((class_key ^ type_hash) * 0x9E3779B97F4A7C15) % 2**64
    return key ^ (key >> 32)


def estimate_row(tables: Tables, job: Record, alt: Record, type_hash: int) -> int | None:
    """The estimate that applies on a device type: of the alternative's own class, else of the wider one."""
    est = tables.columns["est"]
    for class_key in (int(alt["class_key"]), int(alt["wider_key"])):
        key = estimate_key(class_key, type_hash)
        row = int(np.searchsorted(est["key"], np.uint64(key)))
        if not alt["class_key"] or not class_key or row == len(est["key"]) or int(est["key"][row]) != key:
            continue
        if job["work"] > 0 or not est["per_work"][row]:
            return row
    return None


def reference_run(tables: Tables, job: Record, alt: Record, type_hash: int) -> tuple[float, float, int]:
    """Seconds on a device of speed 1, the 90 % quantile over it, and the source.

    History and what the author declared are mixed in log space by how far history is trusted.
    """
    declared, est = float(alt["declared_s"]), tables.columns["est"]
    row = estimate_row(tables, job, alt, type_hash)
    if row is None:
        return (declared, 1.0, DECLARED) if declared > 0 else (NO_ESTIMATE_S, 1.0, DEFAULT)
    seconds, trust = float(est["mean_s"][row]), float(est["trust"][row])
    if est["per_work"][row]:
        seconds *= float(job["work"])
    seconds = min(seconds, FOREVER)
    if trust < 1 and declared > 0 and seconds > 0:
        seconds = math.exp(trust * math.log(seconds) + (1.0 - trust) * math.log(declared))
    if alt["limit_min"] > 0:
        seconds = min(seconds, 60.0 * int(alt["limit_min"]))  # Slurm ends it there
    return min(seconds, FOREVER), float(est["spread"][row]), int(est["source"][row])


def run_times(tables: Tables, job: Record, alt: Record) -> tuple[Floats, Floats, npt.NDArray[np.uint8]]:
    """Run time on each pool, its 90 % quantile, and its source."""
    pool = tables.columns["pool"]
    run, high = np.zeros(len(pool["type"])), np.zeros(len(pool["type"]))
    sources = np.zeros(len(run), dtype=np.uint8)
    for type_hash in np.unique(pool["type"]):
        seconds, spread, source = reference_run(tables, job, alt, int(type_hash))
        here = pool["type"] == type_hash
        run[here] = np.minimum(seconds / pool["speed"][here], FOREVER)
        high[here] = np.minimum(run[here] * spread, FOREVER)
        sources[here] = source
    return run, high, sources


def size_classes(need: float, units: Floats) -> npt.NDArray[np.intp]:
    """The smallest k in 0..7 with need·2^(7-k) ≤ units, 7 when even the need is more."""
    classes: npt.NDArray[np.intp] = 7 - np.sum([need * 2.0**i <= units for i in range(1, 8)], axis=0)
    return classes


def length_class(limit_min: int) -> int:
    """The class of a time limit; 0, the partition's default, counts as the longest."""
    if limit_min <= 0:
        return len(WAIT_BOUNDS_MIN)
    return sum(limit_min > bound for bound in WAIT_BOUNDS_MIN)


def waits(tables: Tables, alt: Record, backlog: tuple[Floats, Floats] | None) -> tuple[Floats, float]:
    """Seconds until the job could start on each pool, and the units it needs there."""
    pool = tables.columns["pool"]
    need = float(alt["cpus"] if alt["kind"] == CPU else alt["devices"]) * float(alt["nodes"])
    of_size = size_classes(need, pool["units"]) * (len(WAIT_BOUNDS_MIN) + 1)
    wait = pool["wait_s"][np.arange(len(of_size)), of_size + length_class(int(alt["limit_min"]))]
    if backlog is not None:
        units, unit_s = backlog
        behind = units + need > pool["units_free"]
        wait = wait + np.where(behind, unit_s / np.maximum(pool["units"], 1.0), 0.0)
    return wait, need


def transfers(tables: Tables, job: Record) -> tuple[Floats, Floats, npt.NDArray[np.bool_], int]:
    """Seconds and money to bring the data to each pool, where it must not go, and the seconds' source."""
    n, n_sites = tables.rows("pool"), tables.rows("site")
    link = tables.columns["link"]
    rate, price = link["bytes_per_s"].reshape(n_sites, n), link["egress"].reshape(n_sites, n)
    seconds, money, barred, source = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool), PREDICTED
    for site, size in zip(job["site"][: job["n_data"]], job["bytes"][: job["n_data"]], strict=True):
        if site >= n_sites:
            source = DEFAULT
            continue
        if not size > 0:
            source = DEFAULT
        open_to = rate[site] > 0
        taken = np.minimum(size / np.where(open_to, rate[site], 1.0), FOREVER)
        seconds += np.where(open_to, taken, 0.0)
        money += size * price[site]
        barred |= ~open_to
    return seconds, money, barred, source


def startups(tables: Tables, alt: Record) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Seconds before the work begins on each pool, with a load where another bitstream is; their sources."""
    pool, wanted = tables.columns["pool"], alt["bitstream"]
    load = (wanted != 0) & (wanted != pool["bitstream"]) & (wanted != pool["bitstream_id"])
    seconds = np.where(load, pool["startup_s"] + pool["bitstream_s"], pool["startup_s"])
    sources = np.where(
        load, np.minimum(pool["startup_source"], pool["bitstream_source"]), pool["startup_source"]
    )
    return seconds, sources


def sizes_reasons(tables: Tables, alt: Record, need: float, run: Floats) -> npt.NDArray[np.uint32]:
    """Why an alternative does not fit each pool, by its shape and its limit."""
    pool = tables.columns["pool"]
    nodes, cpus, mem, limit = (int(alt[name]) for name in ("nodes", "cpus", "mem_mb", "limit_min"))
    grown = (
        (limit > 0) & (pool["speed"] < 1) & (run > 60.0 * pool["limit_min"]) & (pool["limit_min"] < NO_LIMIT)
    )
    filters = {
        "DEVICES": int(alt["devices"]) > pool["devices_per_node"],
        "CPUS": (cpus > pool["cpus_per_node"]) | (cpus > pool["max_cpus_per_node"]),
        "MEMORY": (mem > pool["mem_mb_per_node"]) | (mem > pool["max_mem_mb_per_node"]),
        "NODES": nodes > pool["nodes"],
        "MAX_NODES": nodes > pool["max_nodes"],
        "MIN_NODES": nodes < pool["min_nodes"],
        "MAX_TIME": (limit > pool["limit_min"]) | grown,
        "NO_NODE_UP": (need > pool["units"]) & (nodes <= pool["nodes"]),
    }
    why = np.zeros(len(run), dtype=np.uint32)
    for name, holds in filters.items():
        why |= np.where(holds, np.uint32(WHY[name]), np.uint32(0))
    return why


def limits(tables: Tables, alt: Record, run: Floats) -> npt.NDArray[np.int32]:
    """The kill limit on each pool, minutes: the author's, grown on devices slower than he thought of."""
    pool, limit = tables.columns["pool"], int(alt["limit_min"])
    longest = np.ceil(np.maximum(run, float(alt["declared_s"]) / pool["speed"]) / 60)
    grown = np.minimum(longest, pool["limit_min"])
    grows = (pool["speed"] < 1) & (grown > limit) & (grown < MAX_LIMIT_MIN) & (limit > 0)
    return np.where(grows, grown, float(max(limit, 0))).astype(np.int32)


def pair_terms(
    tables: Tables,
    job: Record,
    alt: Record,
    row: npt.NDArray[np.uint32],
    backlog: tuple[Floats, Floats] | None,
    own: tuple[int, float] | None = None,
) -> Any:
    """TERMS_DTYPE[n_pools]: every term but the score of one alternative.

    `own`: the pool where a pending job is with this alternative, and what it has left to wait there.
    """
    pool = tables.columns["pool"]
    terms = np.zeros(len(row), dtype=TERMS_DTYPE)
    wait, need = waits(tables, alt, backlog)
    if own is not None:
        wait[own[0]] = own[1]
    run, run_high, run_source = run_times(tables, job, alt)
    transfer, egress, barred, transfer_source = transfers(tables, job)
    startup, startup_source = startups(tables, alt)
    nodes, cpus, devices = (float(alt[name]) for name in ("nodes", "cpus", "devices"))

    def per_second(of: str) -> Floats:
        rate: Floats = nodes * (
            cpus * pool[f"{of}_cpu"] + devices * pool[f"{of}_device"] + pool[f"{of}_node"]
        )
        return rate

    latest = wait + startup + transfer + run_high
    worst = (
        per_second("price") * (startup + transfer + np.maximum(run, 60.0 * int(alt["limit_min"]))) + egress
    )
    why = row | pool["reasons"] | alt["reasons"] | sizes_reasons(tables, alt, need, run)
    late = latest > job["deadline_s"] if job["deadline_s"] < FOREVER else np.zeros(len(run), dtype=bool)
    dear = (
        worst > job["max_cost_micro"] if job["max_cost_micro"] < FOREVER else np.zeros(len(run), dtype=bool)
    )
    for name, holds in (("RESIDENCY", barred), ("MAX_COST", dear), ("DEADLINE", late)):
        why |= np.where(holds, np.uint32(WHY[name]), np.uint32(0))

    terms["wait_s"], terms["startup_s"], terms["transfer_s"], terms["run_s"] = wait, startup, transfer, run
    terms["run_high_s"] = run_high
    terms["scarce_s"] = need * (pool["shadow"] * run)
    terms["money_micro"] = per_second("price") * (startup + transfer + run) + egress
    terms["energy_j"] = per_second("watt") * run
    terms["risk"] = pool["risk"]
    terms["run_source"], terms["transfer_source"] = run_source, transfer_source
    terms["startup_source"] = startup_source
    for name in ("wait", "health"):
        terms[f"{name}_source"] = pool[f"{name}_source"]
    for name, factor in (("scarce", "shadow"), ("money", "price"), ("energy", "watt")):
        terms[f"{name}_source"] = np.minimum(pool[f"{factor}_source"], run_source)
    terms["reasons"] = why
    terms["limit_min"] = limits(tables, alt, run)
    other = (pool["kind"] != alt["kind"]) | ((pool["type"] != alt["type"]) & (alt["type"] != 0))
    terms[other] = np.zeros((), dtype=TERMS_DTYPE)
    terms["reasons"][other] = WHY["KIND"]
    return terms


def _least(values: Floats, otherwise: float) -> float:
    return float(values.min()) if len(values) else otherwise


def explain(
    tables: Tables,
    job: Record,
    alts: Any,
    row: npt.NDArray[np.uint32],
    backlog: tuple[Floats, Floats] | None = None,
    place: Record = None,
) -> tuple[Any, Any]:
    """(TERMS_DTYPE[n_alts, n_pools], CHOICE_DTYPE) of one job, as kernel.explain() gives them.

    `place`: where a pending job is, as kernel.rescore() takes it.
    """
    mine = alts[job["first_alt"] : job["first_alt"] + job["n_alts"]]
    terms = np.zeros((len(mine), len(row)), dtype=TERMS_DTYPE)
    for i, alt in enumerate(mine):
        own = None
        if place is not None and place["alt"] == i and 0 <= place["pool"] < len(row) and place["wait_s"] >= 0:
            own = int(place["pool"]), float(place["wait_s"])
        terms[i] = pair_terms(tables, job, alt, row, backlog, own)
    choice = np.zeros((), dtype=CHOICE_DTYPE)
    choice["alt"] = choice["pool"] = -1
    why = terms["reasons"]
    matches = why != WHY["KIND"]
    tier = FEASIBLE if (why == 0).any() else SOFT_TIER if (why & ~np.uint32(SOFT) == 0).any() else NONE
    if tier == NONE:
        choice["reasons"] = refusal(why[matches])
        return terms, choice
    best = why == 0 if tier == FEASIBLE else why & ~np.uint32(SOFT) == 0

    t = terms["wait_s"] + terms["startup_s"] + terms["transfer_s"] + terms["run_s"]
    money, energy, weights = terms["money_micro"], terms["energy_j"], job["weights"]
    per_time = weights["time"] / max(_least(t[best], 1.0), 1.0)
    per_money = weights["cost"] / _least(money[best & (money > TINY)], 1.0)
    per_energy = weights["energy"] / _least(energy[best & (energy > TINY)], 1.0)
    score = per_time * (t + weights["scarcity"] * terms["scarce_s"]) + per_money * money + per_energy * energy
    terms["score"] = np.where(matches, score * terms["risk"], 0.0)
    # The first of equals: by the author's order of alternatives, then by the pool's place.
    first = int(np.argmin(np.where(best, terms["score"], np.inf)))
    choice["alt"], choice["pool"] = divmod(first, len(row))
    choice["tier"], choice["terms"] = tier, terms[choice["alt"], choice["pool"]]
    choice["reasons"] = choice["terms"]["reasons"]
    return terms, choice


def score(
    tables: Tables,
    jobs: Any,
    alts: Any,
    rows: npt.NDArray[np.uint32],
    backlog: tuple[Floats, Floats] | None = None,
) -> Any:
    """CHOICE_DTYPE[n_jobs], as kernel.score_batch() gives them."""
    choices = np.zeros(len(jobs), dtype=CHOICE_DTYPE)
    for i, job in enumerate(jobs):
        choices[i] = explain(tables, job, alts, rows[job["row"]], backlog)[1]
    return choices


def rescore(
    tables: Tables,
    jobs: Any,
    alts: Any,
    rows: npt.NDArray[np.uint32],
    places: Any,
    backlog: tuple[Floats, Floats] | None = None,
) -> tuple[Any, Any]:
    """(CHOICE_DTYPE[n_jobs], TERMS_DTYPE[n_jobs]), as kernel.rescore() gives them."""
    choices, now = np.zeros(len(jobs), dtype=CHOICE_DTYPE), np.zeros(len(jobs), dtype=TERMS_DTYPE)
    now["reasons"] = WHY["KIND"]
    for i, (job, place) in enumerate(zip(jobs, places, strict=True)):
        terms, choices[i] = explain(tables, job, alts, rows[job["row"]], backlog, place)
        if 0 <= place["alt"] < terms.shape[0] and 0 <= place["pool"] < terms.shape[1]:
            now[i] = terms[place["alt"], place["pool"]]
    return choices, now


def refusal(why: npt.NDArray[np.uint32]) -> int:
    """What to tell an author whom no pair suits, of the pairs of the right kind and type.

    The reasons where the author's pins lead; where they lead nowhere, the pins; KIND without any pair.
    """
    pinned = (why & np.uint32(PINNED)) != 0
    others = int(np.bitwise_or.reduce(why[~pinned], initial=0))
    return others or int(np.bitwise_or.reduce(why[pinned] & np.uint32(PINNED), initial=0)) or WHY["KIND"]


def order(tables: Tables, jobs: Any, alts: Any, rows: npt.NDArray[np.uint32]) -> Any:
    """CHOICE_DTYPE[n_jobs] by the authors' orders, as kernel.score_order() gives: no waits, no deadlines."""
    choices = np.zeros(len(jobs), dtype=CHOICE_DTYPE)
    for i, job in enumerate(jobs):
        choices[i] = _order_one(tables, job, alts, rows[job["row"]])
    return choices


def _order_one(tables: Tables, job: Record, alts: Any, row: npt.NDArray[np.uint32]) -> Any:
    choice = np.zeros((), dtype=CHOICE_DTYPE)
    choice["alt"] = choice["pool"] = -1
    seen: list[npt.NDArray[np.uint32]] = []
    for i, alt in enumerate(alts[job["first_alt"] : job["first_alt"] + job["n_alts"]]):
        terms = pair_terms(tables, job, alt, row, None)
        terms["wait_s"], terms["wait_source"] = 0.0, DEFAULT
        matches = terms["reasons"] != WHY["KIND"]
        terms["reasons"] &= ~np.uint32(WHY["DEADLINE"])
        why = terms["reasons"]
        runs = np.flatnonzero(matches & (why & ~np.uint32(SOFT) == 0))
        if len(runs):
            clean = runs[why[runs] == 0]
            chosen = int(clean[0] if len(clean) else runs[0])
            choice["alt"], choice["pool"], choice["terms"] = i, chosen, terms[chosen]
            choice["tier"] = SOFT_TIER if why[chosen] else FEASIBLE
            choice["reasons"] = why[chosen]
            return choice
        seen.append(why[matches])
    choice["reasons"] = refusal(np.concatenate(seen)) if seen else WHY["KIND"]
    return choice
