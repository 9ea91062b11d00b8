"""docs/health.md and the rules say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hetslurm.health.rules import RULE_NAMES, RULES, Rule
from hetslurm.site import LIMITS

PAGE = (Path(__file__).parents[2] / "docs" / "health.md").read_text()
LINES = {
    name: [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for name in re.findall(r"`(\w+)`", line.split("|")[1])
}


def test_every_rule_is_in_the_table_and_no_other() -> None:
    assert set(LINES) == RULE_NAMES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_table_has_the_rule_s_numbers(rule: Rule) -> None:
    names, _, factor, raised, hard, _ = LINES[rule.name]
    factors = [float(part) for part in factor.split(",")]
    place = re.findall(r"`(\w+)`", names).index(rule.name)
    assert factors[place if len(factors) > 1 else 0] == rule.factor
    assert (int(raised), 0 if hard == "–" else int(hard)) == (rule.raise_after, rule.hard_after)


@pytest.mark.parametrize("limit", LIMITS)
def test_every_limit_is_explained_with_its_default(limit: str) -> None:
    number = re.escape(f"{LIMITS[limit]:g}")
    assert re.search(rf"`{limit}` \({number}\D", PAGE)
