"""How many to ask for at once: never more than wanted, and seldom in vain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hetslurm.cloudburst.pace import BATCH, WORTH, Bucket, Pace


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.floats(-10, 1000)), max_size=20),
    st.integers(1, 5000),
)
def test_it_never_asks_for_more_than_is_wanted_or_a_call_takes(
    answers: list[tuple[int, int, float]], wanted: int
) -> None:
    pace, now = Pace(), 1e9
    for launched, throttled, passed in answers:
        now += passed
        pace.learn(launched, throttled, now)
        assert 0 <= pace.batch(wanted, now) <= min(wanted, BATCH)
        assert pace.batch(wanted, now) == 0 or pace.batch(wanted, now) >= min(wanted, WORTH)
        later = now + pace.ready_s(wanted, now) + 0.01
        assert pace.batch(wanted, later) > 0


@given(st.integers(0, 1000), st.integers(1, 3000))
def test_a_bucket_of_any_level_is_found_by_a_few_refusals(level: int, wanted: int) -> None:
    pace, bucket, now, refused, calls = Pace(), Bucket(), 1e9, 0, 0
    there, at = float(level), now
    while wanted:
        assert calls < 1000
        there, at = min(bucket.size, there + (now - at) * bucket.refill_per_s), now
        count = pace.batch(wanted, now)
        if not count:
            now += pace.ready_s(wanted, now) + 0.01
            continue
        calls += 1
        if count <= there:
            there -= count
            wanted -= count
            pace.learn(count, 0, now)
        else:
            refused += 1
            pace.learn(0, count, now)
            now += 2.0
    assert refused <= 12


def test_what_was_learned_is_known_to_the_next_process() -> None:
    first = Pace()
    first.learn(0, 500, 1e9)
    first.learn(0, 200, 1e9)
    second = Pace(text=first.text())
    assert second.batch(3000, 1e9) == first.batch(3000, 1e9) < 200
    assert Pace(text=first.text()).batch(3000, 1e9 + 10_000) == BATCH


@given(st.text())
def test_words_that_are_none_of_ours_are_forgotten(text: str) -> None:
    assert Pace(text=text).batch(10, 1e9) == 10
