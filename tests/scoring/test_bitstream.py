"""A card that has the job's bitstream loaded starts sooner than one that has not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.cluster import Partition
from hetslurm.estimate import Estimate, Source
from hetslurm.job import Request
from hetslurm.native.kernel import View
from hetslurm.placement import Asked, Candidate
from hetslurm.pool import Pool
from hetslurm.scoring import explain
from hetslurm.site import Site
from hetslurm.snapshot import build_slot
from hetslurm.target import Target

UUID = "f2b82d53-372f-45a4-bbe9-3d1c980216da"
CARD = Pool(
    "", "", "fpga", "u250", ("n1",), 16, 1, 1000, units=1.0, units_free=1.0,
    startup_s=Estimate(1.0, Source.DECLARED), bitstream_s=Estimate(4.0, Source.DEFAULT),
)  # fmt: skip
POOLS = (
    replace(CARD, name="empty", partition="a"),
    replace(CARD, name="sort", partition="b", bitstream="sort.xclbin", bitstream_id="another"),
    replace(CARD, name="align", partition="c", bitstream="align.xclbin", bitstream_id=UUID),
)


def explained(xclbin: str) -> dict[str, Candidate]:
    slot = build_slot(
        POOLS, [Partition(name, ()) for name in "abc"], [], {}, {}, Site(), generation=1, written_at_ns=1
    )
    request = Request((Target("fpga", "u250", 1, cpus=1, time_s=60, xclbin=xclbin),))
    decision = explain(View(slot), request, Asked(uid=1), now=0.0)
    return {candidate.pool: candidate for candidate in decision.candidates}


@pytest.mark.parametrize("xclbin", ["align.xclbin", "/opt/xclbins/align.xclbin", UUID])
def test_the_pool_that_has_it_loaded_starts_sooner(xclbin: str) -> None:
    startup = {name: one.terms["startup_s"] for name, one in explained(xclbin).items()}
    assert startup["align"] == Estimate(1.0, Source.DECLARED)
    assert startup["sort"] == startup["empty"] == Estimate(5.0, Source.DEFAULT)


def test_the_author_gets_the_card_that_has_it_loaded() -> None:
    found = explained("align.xclbin")
    assert min(found.values(), key=lambda one: one.score or 0.0).pool == "align"


def test_without_a_bitstream_nothing_is_loaded() -> None:
    assert {one.terms["startup_s"].value for one in explained("").values()} == {1.0}
