"""Writes the seeds in corpus/snapshot anew; run it when the layout's version rises."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hetslurm.cluster import Association, Partition
from hetslurm.native.layout import CONSTANTS, MAGIC
from hetslurm.pool import NO_WAIT, Pool
from hetslurm.site import DataSite, Site
from hetslurm.snapshot import RunEstimate, build_slot
from hetslurm.snapshot.layout import ALIGN, FILE

CORPUS = Path(__file__).parent / "corpus" / "snapshot"
PARTITIONS = [
    Partition(
        "cpu", (), is_default=True, allow_accounts=frozenset({"chem"}), allow_groups=frozenset({"users"})
    ),
    Partition("gpu", (), deny_qos=frozenset({"low"}), alloc_nodes=frozenset({"login1", "login2"})),
]
POOLS = [
    Pool("cpu", "cpu", "cpu", "", ("n1", "n2"), 64, 0, 1000, features=frozenset({"ib", "avx"})),
    Pool("gpu-a", "gpu", "gpu", "a100", ("n3",), 64, 4, 1000, wait_s=(1.0,) * len(NO_WAIT)),
    Pool("gpu-b", "gpu", "gpu", "a100", ("n4", "n5", "n6"), 64, 8, 1000),
]


def seed(name: str, pools: list[Pool], site: Site) -> None:
    """One file: a header, and slot 0 without room to grow."""
    slot = build_slot(
        pools,
        PARTITIONS,
        [Association("ann", "chem"), Association("ann", "bio", "gpu"), Association("bob", "chem")],
        {"ann": 1001, "bob": 1002},
        {"users": frozenset({1001, 1002, 1003})},
        site,
        [RunEstimate("bwa", "gpu", "a100", 40.0), RunEstimate("bwa", "cpu", "", 400.0, trust=0.5, spread=2.0)]
        if pools
        else [],
        generation=1,
        written_at_ns=1,
        enforces_associations=True,
    )
    header = np.zeros(1, dtype=FILE)
    header["magic"] = MAGIC
    header["layout_version"] = CONSTANTS["LAYOUT_VERSION"]
    header["header_size"] = FILE.itemsize
    header["slot_size"] = -(-slot.size // ALIGN) * ALIGN
    header["generation"][0][0] = 1
    (CORPUS / name).write_bytes(header.tobytes() + slot.tobytes())


if __name__ == "__main__":
    CORPUS.mkdir(parents=True, exist_ok=True)
    seed("no-pools", [], Site())
    seed("three-pools", POOLS, Site())
    seed(
        "with-data",
        POOLS,
        Site(data=(DataSite("/scratch", {"*": 2.0}), DataSite("s3://lab", stays=frozenset({"cpu"})))),
    )
