"""Which pools slurmctld would let an author use: the readable definition of the kernel's het_admit().

Follows slurmctld's `_part_access_check()`, `part_policy_valid_acct()`, `part_policy_valid_qos()`,
`validate_group()` and `assoc_mgr_fill_in_assoc()`, and refuses where in doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hetslurm.native.layout import CONSTANTS, REASON_BITS, name_hash
from hetslurm.scoring.tables import Tables

WHY = REASON_BITS
ANY_PARTITION = CONSTANTS["NO_PARTITION"]
NORMAL = name_hash("normal")


def admit(tables: Tables, author: Any, nodes: Sequence[int] = ()) -> npt.NDArray[np.uint32]:
    """uint32[n_pools] of reasons: the author's on the pool's partition and nodes, and the pool's own."""
    pool = tables.columns["pool"]
    account, associations = standing(tables, author)
    by_part = [part_reasons(tables, author, account, associations, p) for p in range(tables.rows("part"))]
    row = pool["reasons"].astype(np.uint32)
    for j, part in enumerate(pool["part"]):
        row[j] |= by_part[part] | node_reasons(tables, author, nodes, j)
    return row


def standing(tables: Tables, author: Any) -> tuple[int, dict[int, int]]:
    """The account in force (0: none), and its associations by partition: {partition's index: row}."""
    assoc = tables.columns["assoc"]
    mine = np.flatnonzero(assoc["uid"] == author["uid"])
    account = int(author["account"])
    if not account:
        default = mine[assoc["is_default"][mine] != 0]
        account = int(assoc["account"][default[0]]) if len(default) else 0
    found: dict[int, int] = {}
    for row in mine if account else ():
        if int(assoc["account"][row]) == account:
            found.setdefault(int(assoc["part"][row]), int(row))
    return account, found


def part_reasons(tables: Tables, author: Any, account: int, associations: dict[int, int], part: int) -> int:
    """What keeps the author out of a partition."""
    why, flags = 0, int(tables.columns["part"]["flags"][part])
    known = tables.rows("assoc") > 0  # an empty table: they could not be read, not that nobody has one
    association = associations.get(part, associations.get(ANY_PARTITION))
    qos = int(author["qos"])
    if not qos and known:
        default = 0 if association is None else int(tables.columns["assoc"]["default_qos"][association])
        qos = default or NORMAL

    def on(flag: str) -> bool:
        return bool(flags & CONSTANTS[f"PART_{flag}"])

    named = author["partition"][: author["n_partitions"]]
    enforced = bool(int(tables.head["flags"]) & CONSTANTS["SLOT_ASSOCIATIONS"])
    holds = {
        "PARTITION_NAMED": len(named) > 0 and tables.columns["part"]["hash"][part] not in named,
        # An account that is not known with this user may be minutes old: slurmctld judges that.
        "ASSOCIATION": enforced and bool(associations) and association is None,
        "ROOT_ONLY": on("ROOT_ONLY") and not author["privileged"],
        "NO_ROOT": on("NO_ROOT") and author["uid"] == 0,
        "REQ_RESV": on("REQ_RESV") and not author["has_reservation"],
        "NO_SUBMIT": on("NO_SUBMIT"),
        "PARTITION_DOWN": on("DOWN"),
        "ACCOUNT": (on("ALLOW_ACCOUNT") or on("DENY_ACCOUNT"))
        and _listed(tables, "account", part, account) != on("ALLOW_ACCOUNT"),
        "QOS": (on("ALLOW_QOS") or on("DENY_QOS")) and _listed(tables, "qos", part, qos) != on("ALLOW_QOS"),
        # AllowGroups never keeps root out.
        "GROUP": on("ALLOW_UID")
        and author["uid"] != 0
        and not _listed(tables, "uid", part, int(author["uid"])),
        "SUBMIT_HOST": on("ALLOW_HOST")
        and author["submit_host"] != 0
        and not _listed(tables, "host", part, int(author["submit_host"])),
    }
    for name, held in holds.items():
        why |= WHY[name] if held else 0
    return why


def node_reasons(tables: Tables, author: Any, nodes: Sequence[int], pool: int) -> int:
    """What keeps a pool's nodes from a --constraint (an OR of ANDs of features) or a --nodelist."""
    features = _ids(tables, "pool", "feature", pool)
    terms = [author["feature"][i][: author["n_features"][i]] for i in range(author["n_terms"])]
    fits = not terms or any(all(int(feature) in features for feature in term) for term in terms)
    has_all = all(int(node) in _ids(tables, "pool", "node", pool) for node in nodes)
    return (0 if fits else WHY["CONSTRAINT"]) | (0 if has_all else WHY["NODELIST"])


def _ids(tables: Tables, table: str, name: str, row: int) -> set[int]:
    columns = tables.columns[table]
    first = int(columns[f"{name}_first"][row])
    return {int(i) for i in tables.columns["ids"]["id"][first : first + int(columns[f"{name}_count"][row])]}


def _listed(tables: Tables, name: str, part: int, value: int) -> bool:
    return value in _ids(tables, "part", name, part)
