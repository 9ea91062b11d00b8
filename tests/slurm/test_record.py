"""The record in admin_comment: ours is read, anybody else's is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.slurm.record import Record, parse_record, render_record

PLACED = (
    '{"hetslurm":1,"state":"placed","gen":812,"target":"gpu:a100:1","kind":"gpu","type":"a100","alt":0,'
    '"pool":"gpu-a100","partition":"gpu","score":1.03,"wait_s":120,"run_s":2400,"money":1.2,"pins":"pgcmt",'
    '"het":"target=gpu:a100:1"}'
)


def test_the_documented_record_is_read() -> None:
    record = parse_record(PLACED)
    assert record is not None
    assert (record.state, record.gen, record.partition, record.wait_s) == ("placed", 812, "gpu", 120.0)
    assert not record.is_held


def test_unknown_keys_and_missing_ones_are_fine() -> None:
    record = parse_record('{"hetslurm":1,"state":"held","later":{"x":[1]},"het":"off"}')
    assert record == Record(1, "held", het="off")


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "backfilled by ops",
        "{}",
        '{"hetslurm":2,"state":"x"}',
        '{"hetslurm":1',
        '{"hetslurm":1,"state":7}',
        "[]",
    ],
)
def test_a_comment_that_is_not_ours_is_left_alone(comment: str) -> None:
    assert parse_record(comment) is None


@given(st.text())
def test_no_comment_raises(comment: str) -> None:
    parse_record(comment)
    parse_record('{"hetslurm":1,"state":"placed"' + comment)


@given(
    st.builds(
        Record, hetslurm=st.just(1), state=st.text(), gen=st.integers(0, 2**63), pool=st.text(), het=st.text()
    )
)
def test_a_rendered_record_reads_the_same(record: Record) -> None:
    assert parse_record(render_record(record)) == record
