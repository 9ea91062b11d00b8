"""`explain` says for every pair what it would take, and why not; its JSON is a contract."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.errors import SnapshotError
from hetslurm.job import Request
from hetslurm.native import kernel
from hetslurm.placement import Asked, Tier, decision_json
from hetslurm.scoring import decide, explain
from hetslurm.target import Target

from .random_views import random_tables, slot_of

REQUEST = Request(
    targets=(Target("gpu", "a100", count=1, cpus=4, time_s=600), Target("cpu", cpus=4, time_s=3600)),
    app="bwa",
    objective="latency",
)


def view_of(seed: int, n_pools: int = 30) -> kernel.View:
    return kernel.View(slot_of(random_tables(seed, n_pools, easy=True)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_explain_chooses_what_decide_chooses(seed: int) -> None:
    view = view_of(seed)
    asked = Asked(uid=1000)
    explained = explain(view, REQUEST, asked, now=0.0)
    assert explained.chosen == decide(view, REQUEST, asked, now=0.0).chosen
    assert len(explained.candidates) == 2 * view.n_pools
    if explained.chosen is not None:
        assert explained.chosen in explained.candidates
        if explained.tier is Tier.FEASIBLE:
            assert all(explained.chosen.score <= c.score for c in explained.candidates if c.feasible)


def test_the_json_has_the_contracts_keys() -> None:
    decision = explain(view_of(1), REQUEST, Asked(uid=1000), now=0.0)
    document = json.loads(json.dumps(decision_json(decision)))
    assert set(document) == {"job_id", "app", "objective", "generation", "chosen", "candidates"}
    assert document["app"] == "bwa"
    assert document["objective"] == "latency"
    assert set(document["chosen"]) == {"target", "pool", "partition", "score"}
    candidate = next(c for c in document["candidates"] if c["terms"])
    assert set(candidate) == {"target", "pool", "partition", "feasible", "reason", "score", "terms"}
    assert list(candidate["terms"]) == [
        "wait_s", "startup_s", "transfer_s", "run_s", "scarce_s", "money", "energy_j", "health",
        "run_high_s",
    ]  # fmt: skip
    assert set(candidate["terms"]["run_s"]) == {"value", "source", "n", "log_sd", "class"}
    assert set(candidate["terms"]["wait_s"]) == {"value", "source"}


def test_a_named_partition_rules_out_every_other() -> None:
    view = view_of(2)
    decision = explain(view, REQUEST, Asked(uid=1000, partition="nowhere"), now=0.0)
    assert decision.chosen is None
    assert "the author named another partition" in decision.reasons


def test_the_authors_order_decides_when_only_the_order_may() -> None:
    decision = decide(view_of(3), REQUEST, Asked(uid=1000), now=0.0, order_only=True)
    assert decision.ordered
    assert decision.chosen is not None
    assert decision.chosen.score is None
    assert decision.chosen.terms["wait_s"].value == 0.0


def test_a_kind_that_nobody_offers_is_said() -> None:
    decision = decide(view_of(4), Request(targets=(Target("tpu", count=1),)), Asked(), now=0.0)
    assert decision.chosen is None
    assert decision.reasons == ("no pool offers this kind and type",)


def test_a_slot_with_a_wrong_byte_is_refused() -> None:
    slot = bytearray(slot_of(random_tables(5, 4)))
    slot[-1] ^= 1
    with pytest.raises(SnapshotError, match="checksum"):
        kernel.View(slot)
