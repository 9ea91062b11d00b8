"""[history] of hetslurm.toml."""

from __future__ import annotations

import pytest

from hetslurm.config import parse_site, read_site
from hetslurm.site import HistorySite


def test_every_key_of_history_reaches_the_site() -> None:
    text = """
    [history]
    source = "sacct"
    keep_days = 30
    keep_runs = 5000
    use = false
    """
    assert parse_site(text).history == HistorySite("sacct", 30.0, 5000, use=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('source = "slurmdbd"', '"auto" or "sacct" or "observed" or "off"'),
        ("keep_days = 0", "from 1 to 36500"),
        ("keep_runs = 10", "from 100 to"),
        ("use = 1", "use"),
        ("keep = 5", "did you mean"),
    ],
)
def test_what_is_wrong_about_history_is_said(text: str, said: str) -> None:
    site, problems = read_site(f"[history]\n{text}")
    assert site is None
    assert said in " ".join(problem.render("f") for problem in problems)
