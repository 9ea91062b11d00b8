"""Node lists: expanded as Slurm means them, refused when it would not write them, never without bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.errors import SlurmError
from hetslurm.slurm.hostlist import expand_hostlist


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("(null)", ()),
        ("node", ("node",)),
        ("a,b", ("a", "b")),
        ("cpu[1-2],fpga1,gpu[1-2]", ("cpu1", "cpu2", "fpga1", "gpu1", "gpu2")),
        ("n[008-010,12]", ("n008", "n009", "n010", "n12")),
        ("r[1-2]n[3-4]-ib", ("r1n3-ib", "r1n4-ib", "r2n3-ib", "r2n4-ib")),
    ],
)
def test_lists_are_expanded_in_their_order(text: str, names: tuple[str, ...]) -> None:
    assert expand_hostlist(text) == names


@pytest.mark.parametrize("text", ["n[1-", "n]1[", "n[3-1]", "n[a-b]", "n[]", "n[1-2", "n[[1]]"])
def test_what_slurm_would_not_write_is_refused(text: str) -> None:
    with pytest.raises(SlurmError):
        expand_hostlist(text)


@pytest.mark.parametrize("text", ["n[1-999999999]", "n[1-60000]x[1-60000]", "a[1-100000],b[1-100000]"])
def test_a_huge_list_is_refused_without_being_built(text: str) -> None:
    with pytest.raises(SlurmError):
        expand_hostlist(text)


@given(st.text(alphabet="abn[]-,0123456789 ", max_size=60))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    try:
        names = expand_hostlist(text)
    except SlurmError:
        return
    assert all(name and not set(name) & set("[],") for name in names)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=30, unique=True), st.integers(1, 5))
def test_every_number_of_a_list_comes_out_in_its_width(numbers: list[int], width: int) -> None:
    text = ",".join(f"{n:0{width}d}" for n in numbers)
    assert expand_hostlist(f"n[{text}]") == tuple(f"n{n:0{width}d}" for n in numbers)
