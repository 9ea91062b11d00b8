"""Random views, authors, alternatives and jobs; values come from small sets, so that ties are common."""

from __future__ import annotations

from typing import Any

import numpy as np

from hetslurm.native.kernel import ALT_DTYPE, AUTHOR_DTYPE, JOB_DTYPE
from hetslurm.native.layout import (
    CONSTANTS,
    FOREVER,
    REASON_BITS,
    checksum,
    estimate_key,
    layout_fields,
    name_hash,
)
from hetslurm.pool import WAIT_LENGTHS
from hetslurm.scoring.tables import Tables
from hetslurm.slot import header_of
from hetslurm.snapshot.layout import pack

KINDS = ("cpu", "gpu", "fpga")
TYPES = ("", "a100", "u250")
APPS = ("bwa", "blast")
NONE = 2**31 - 1
PART_FLAGS = [value for name, value in CONSTANTS.items() if name.startswith("PART_")]
ACCOUNTS, QOSES, HOSTS, NODES, FEATURES = (
    [name_hash(f"{what}{i}") for i in range(4)] for what in ("account", "qos", "host", "node", "feature")
)
BITSTREAMS = np.array(
    [name_hash(name) for name in ("align.xclbin", "sort.xclbin", "a-uuid")], dtype=np.uint64
)
QOSES.append(name_hash("normal"))
SOFT_OWN = [REASON_BITS[name] for name in ("PARTITION_DOWN", "NO_NODE_UP", "HEALTH")]


class _Ids:
    def __init__(self) -> None:
        self.values: list[int] = []

    def add(self, rng: np.random.Generator, of: list[int]) -> tuple[int, int]:
        chosen = sorted(
            rng.choice(np.array(of, dtype=np.uint64), rng.integers(0, len(of)), replace=False).tolist()
        )
        first = len(self.values)
        self.values += chosen
        return first, len(chosen)


def _lists(rng: np.random.Generator, ids: _Ids, n: int, name: str, of: list[int]) -> dict[str, Any]:
    ranges = np.array([ids.add(rng, of) for _ in range(n)], dtype=np.uint32).reshape(n, 2)
    return {f"{name}_first": ranges[:, 0], f"{name}_count": ranges[:, 1]}


def random_tables(seed: int, n_pools: int, easy: bool = False) -> Tables:
    """A view's columns; with `easy`, most pairs are feasible."""
    rng = np.random.default_rng(seed)
    ids, strings = _Ids(), bytearray(b"\0")

    def text(value: str) -> int:
        strings.extend(value.encode() + b"\0")
        return len(strings) - len(value) - 1

    n_parts = int(rng.integers(1, 6)) if n_pools else 0
    pairs = sorted(
        ((KINDS[rng.integers(3)], TYPES[rng.integers(3)]) for _ in range(n_pools)),
        key=lambda pair: (name_hash(pair[0]), name_hash(pair[1])),
    )
    low = 3 if easy else 0

    def pick(*values: float, shape: Any = n_pools) -> Any:
        return rng.choice(np.array(values, dtype=np.float64), shape)

    pool: dict[str, Any] = {
        "kind": [name_hash(kind) for kind, _ in pairs],
        "type": [name_hash(type_) for _, type_ in pairs],
        "name": [text(f"pool{i}") for i in range(n_pools)],
        "kind_name": [text(kind) for kind, _ in pairs],
        "type_name": [text(type_) for _, type_ in pairs],
        "part": rng.integers(0, max(n_parts, 1), n_pools),
        "reasons": np.where(rng.random(n_pools) < (0 if easy else 0.2), rng.choice(SOFT_OWN, n_pools), 0),
        "limit_min": pick(30, 60, 600, NONE),
        "min_nodes": pick(0, 1, 2) if not easy else pick(0, 1),
        "max_nodes": pick(1, 4, NONE),
        "nodes": rng.integers(low, 6, n_pools),
        "cpus_per_node": pick(8, 16, 64),
        "devices_per_node": [0 if kind == "cpu" else int(rng.integers(1, 9)) for kind, _ in pairs],
        "mem_mb_per_node": pick(1000, 64000, 256000),
        "max_cpus_per_node": pick(8, NONE, NONE),
        "max_mem_mb_per_node": pick(2000, NONE, NONE),
        "units": pick(0, 1, 8, 64, 256, 1000) if not easy else pick(64, 256, 1000),
        "units_free": pick(0, 8, 64),
        "wait_s": np.sort(
            pick(0, 60, 600, 7200, FOREVER if not easy else 0, shape=(n_pools, 8 * WAIT_LENGTHS)), axis=1
        ),
        "startup_s": pick(0, 0, 12.5),
        "bitstream": rng.choice(BITSTREAMS, n_pools),
        "bitstream_id": rng.choice(BITSTREAMS, n_pools),
        "bitstream_s": pick(0, 4, 7.5),
        "speed": pick(0.25, 0.7, 1, 1, 3),
        "shadow": pick(0, 0.3, 2),
        "health": pick(0.5, 1),
        "risk": pick(1, 1, 1.1),
        **{
            f"{of}_{per}": pick(0, 0, 0.1, 7.3)
            for of in ("price", "watt")
            for per in ("cpu", "device", "node")
        },
        **{
            f"{of}_source": rng.integers(0, 4, n_pools)
            for of in ("wait", "startup", "bitstream", "speed", "price", "watt")
        },
        **{f"{of}_source": rng.integers(0, 4, n_pools) for of in ("shadow", "health")},
        **_lists(rng, ids, n_pools, "feature", FEATURES),
        **_lists(rng, ids, n_pools, "node", NODES),
    }
    classes: list[list[int]] = []
    for i in range(n_pools):
        if classes and (classes[-1][0], classes[-1][1]) == (pool["kind"][i], pool["type"][i]):
            classes[-1][3] += 1
        else:
            classes.append([pool["kind"][i], pool["type"][i], i, 1])
    flags = [
        int(np.bitwise_or.reduce(rng.choice(PART_FLAGS, 2))) if rng.random() < 0.5 else 0
        for _ in range(n_parts)
    ]
    part: dict[str, Any] = {
        "hash": [name_hash(f"part{i}") for i in range(n_parts)],
        "name": [text(f"part{i}") for i in range(n_parts)],
        "flags": [0] * n_parts if easy else flags,
        **_lists(rng, ids, n_parts, "account", ACCOUNTS),
        **_lists(rng, ids, n_parts, "qos", QOSES),
        **_lists(rng, ids, n_parts, "uid", [0, 1000, 1001, 1002]),
        **_lists(rng, ids, n_parts, "host", HOSTS),
    }
    assocs = sorted(
        {
            (
                int(rng.integers(1000, 1003)) if rng.random() < 0.9 else 0,
                ACCOUNTS[rng.integers(4)],
                int(rng.integers(n_parts)) if n_parts and rng.random() < 0.5 else CONSTANTS["NO_PARTITION"],
            )
            for _ in range(rng.integers(0, 12))
        }
    )
    keys = sorted(
        {
            (estimate_key(APPS[rng.integers(2)], KINDS[rng.integers(3)], TYPES[rng.integers(3)]))
            for _ in range(rng.integers(0, 12))
        }
    )
    n_sites = int(rng.integers(0, 3))
    links = n_sites * n_pools
    sites = [text(f"/data{i}") for i in range(n_sites)]
    columns: dict[str, dict[str, Any]] = {
        "pool": pool,
        "cls": {name: [c[i] for c in classes] for i, name in enumerate(("kind", "type", "first", "count"))},
        "part": part,
        "assoc": {
            "uid": [a[0] for a in assocs],
            "account": [a[1] for a in assocs],
            "part": [a[2] for a in assocs],
            "default_qos": [QOSES[rng.integers(5)] if rng.random() < 0.6 else 0 for _ in assocs],
            "is_default": rng.integers(0, 2, len(assocs)),
        },
        "est": {
            "key": keys,
            "mean_s": pick(0, 1e-3, 90, 5000, FOREVER, shape=len(keys)),
            "spread": pick(1, 1.7, 40, shape=len(keys)),
            "trust": pick(0, 0.3, 0.8, 1, shape=len(keys)),
            "log_sd": pick(0.1, shape=len(keys)),
            "n": rng.integers(1, 9, len(keys)),
            "per_work": rng.integers(0, 2, len(keys)),
            "source": rng.integers(0, 4, len(keys)),
        },
        "site": {"prefix": sites},
        "link": {
            "bytes_per_s": pick(0 if not easy else 1e8, 1e8, 1e9, shape=links),
            "egress": pick(0, 1e-6, shape=links),
        },
        "ids": {"id": ids.values},
        "str": {"byte": np.frombuffer(bytes(strings), dtype="S1")},
    }
    for table, name, code, per_row, _ in layout_fields():
        values = np.asarray(columns[table][name], dtype=code)
        columns[table][name] = values.reshape(-1, per_row) if per_row > 1 else values
    head = {
        "flags": int(rng.integers(0, 2)) * CONSTANTS["SLOT_ASSOCIATIONS"],
        "currency": b"EUR",
        "written_at_ns": 10**18,
        "order_points": 1000,
        "order_short_s": 60.0,
        "order_long_s": 86400.0,
    }
    return Tables(columns, head)


def random_authors(seed: int, n: int, easy: bool = False) -> tuple[Any, list[list[int]]]:
    """Authors and the nodes that each named."""
    rng = np.random.default_rng(seed)
    authors, nodes = np.zeros(n, dtype=AUTHOR_DTYPE), []
    for author in authors:
        author["uid"] = rng.choice([0, 1000, 1001, 1002, 1003])
        author["privileged"] = author["uid"] == 0 or rng.random() < 0.1
        if rng.random() < 0.5:
            author["account"], author["qos"] = ACCOUNTS[rng.integers(4)], QOSES[rng.integers(5)]
        author["submit_host"] = HOSTS[rng.integers(4)] if rng.random() < 0.5 else 0
        author["has_reservation"] = rng.integers(2)
        if rng.random() < 0.3 and not easy:
            author["n_partitions"] = rng.integers(1, 4)
            author["partition"][:3] = [name_hash(f"part{i}") for i in rng.integers(0, 6, 3)]
        if rng.random() < 0.3 and not easy:
            author["n_terms"] = rng.integers(1, 4)
            author["n_features"][:] = rng.integers(1, 4, 8)
            author["feature"][:] = rng.choice(np.array(FEATURES, dtype=np.uint64), (8, 8))
        nodes.append([NODES[rng.integers(4)]] if rng.random() < 0.2 and not easy else [])
    return authors, nodes


def random_jobs(seed: int, n: int, n_rows: int, easy: bool = False) -> tuple[Any, Any]:
    """(jobs, alternatives)."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, n) if not easy else rng.integers(1, 4, n)
    alts = np.zeros(int(counts.sum()), dtype=ALT_DTYPE)
    for alt in alts:
        kind = KINDS[rng.integers(3)] if rng.random() < 0.95 else "tpu"
        alt["kind"], alt["type"] = (
            name_hash(kind),
            name_hash(TYPES[rng.integers(3)]) if rng.random() < 0.5 else 0,
        )
        alt["class_key"] = _app_key(APPS[rng.integers(2)], kind) if rng.random() < 0.7 else 0
        alt["wider_key"] = _app_key(APPS[rng.integers(2)], kind) if rng.random() < 0.3 else 0
        alt["bitstream"] = rng.choice(BITSTREAMS) if rng.random() < 0.5 else 0
        alt["declared_s"] = rng.choice([0, 90, 1800, 1e7 / 3])
        alt["reasons"] = REASON_BITS["GRES_NAMED"] if rng.random() < 0.05 and not easy else 0
        alt["nodes"] = rng.choice([1, 1, 1, 2, 5]) if not easy else 1
        alt["cpus"], alt["devices"] = (
            rng.choice([1, 4, 8, 64]),
            0 if kind == "cpu" else rng.choice([0, 1, 1, 2, 8]),
        )
        if easy:
            alt["cpus"], alt["devices"] = 4, kind != "cpu"
        alt["mem_mb"] = rng.choice([0, 0, 900, 100000]) if not easy else 0
        alt["limit_min"] = rng.choice([0, 0, 20, 45, 700]) if not easy else 0
    jobs = np.zeros(n, dtype=JOB_DTYPE)
    jobs["n_alts"], jobs["first_alt"] = counts, np.cumsum(counts) - counts
    jobs["row"] = rng.integers(0, n_rows, n)
    jobs["n_tasks"] = 1
    for job in jobs:
        job["weights"] = tuple(rng.choice([0, 0, 1, 0.4, 1 / 3], 4))
        job["work"] = rng.choice([0, 1, 3.5e3])
        job["deadline_s"] = rng.choice([FOREVER, FOREVER, 0, 3000])
        job["max_cost_micro"] = rng.choice([FOREVER, FOREVER, 0, 5000])
        job["n_data"] = rng.choice([0, 0, 1, 3])
        job["site"][:] = rng.choice([0, 1, 2, 2**32 - 1], 8)
        job["bytes"][:] = rng.choice([0, 1e9, 3e12 + 1], 8)
    return jobs, alts


def _app_key(app: str, kind: str) -> int:
    return name_hash(f"{app}\0{kind}\0")


def slot_of(tables: Tables) -> bytes:
    """The slot that holds these columns, as the writer lays them out, sealed with its checksum."""
    slot = pack(tables.columns, {table: tables.rows(table) for table in tables.columns})
    header = header_of(slot)
    header["generation"] = 1
    header["default_part"] = CONSTANTS["NO_PARTITION"]
    for name, value in tables.head.items():
        header[name] = value
    header["checksum"] = checksum(slot[CONSTANTS["SUM_START"] :])
    return slot.tobytes()
