"""The XID table."""

from __future__ import annotations

import pytest

from hetslurm.gpu.xid import HARD, SOFT, is_hard, word


def test_no_xid_is_both_hard_and_soft() -> None:
    assert not set(HARD) & set(SOFT)


@pytest.mark.parametrize("xid", [48, 62, 64, 74, 79, 95, 119, 140])
def test_broken_hardware_is_hard(xid: int) -> None:
    assert is_hard(xid)


@pytest.mark.parametrize("xid", [13, 31, 43, 45, 63, 94, 109, 154, 9999])
def test_what_a_program_can_cause_or_nobody_knows_is_soft(xid: int) -> None:
    assert not is_hard(xid)


def test_words_have_the_number() -> None:
    assert word(79) == "79 GPU has fallen off the bus"
    assert word(9999) == "9999 not in the table"
