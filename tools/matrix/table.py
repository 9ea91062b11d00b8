"""The matrix as values: what pytest said of each group of tests on each release, as a table. Pure."""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BEGIN = "<!-- matrix: written by `make matrix` -->"
END = "<!-- matrix: end -->"


@dataclass(frozen=True)
class Group:
    """A row: its tests are files ("tests/a.py") or tests in them ("tests/a.py::test_x").

    `match`: a word that a test's name must have. `absent`: the cell where no test has; "": there must be one.
    `only`: the releases that it is tried on; (): on all.
    """

    title: str
    tests: tuple[str, ...]
    match: str = ""
    absent: str = ""
    only: tuple[str, ...] = ()

    def is_for(self, release: str) -> bool:
        """Whether it is tried on this release."""
        return not self.only or release in self.only

    def has(self, file: str, name: str) -> bool:
        """Whether a test is one of these."""
        bare = name.partition("[")[0]
        return bool({file, f"{file}::{bare}", f"{file}::{name}"} & set(self.tests)) and self.match in name


@dataclass(frozen=True)
class Outcome:
    """One test on one release. `failure`: its first line, "" when it passed; `lacks`: what Slurm lacks;
    `found`: what was measured.
    """

    file: str
    name: str
    seconds: float
    failure: str = ""
    lacks: str = ""
    found: str = ""
    tries: int = 1

    @property
    def id(self) -> str:
        """As pytest takes it."""
        return f"{self.file}::{self.name}"


def parse_groups(text: str) -> tuple[Group, ...]:
    """groups.toml. Raises TypeError for a key that no group has."""
    rows = tomllib.loads(text)["group"]
    lists = ("tests", "only")
    return tuple(Group(**{k: tuple(v) if k in lists else v for k, v in row.items()}) for row in rows)


def read_junit(text: str) -> tuple[Outcome, ...]:
    """Outcomes from pytest's --junitxml. A test that was skipped counts as failed: it was to run."""
    outcomes: dict[str, Outcome] = {}
    for case in ET.fromstring(text).iter("testcase"):  # noqa: S314 - our own pytest wrote it
        bad = [case.find(kind) for kind in ("failure", "error", "skipped")]
        words = next((b.get("message") or b.tag for b in bad if b is not None), "")
        properties = {p.get("name"): p.get("value") or "" for p in case.iter("property")}
        outcome = Outcome(
            file=(case.get("classname") or "").replace(".", "/") + ".py",
            name=case.get("name") or "",
            seconds=float(case.get("time") or 0),
            failure=words.strip().splitlines()[0][:300] if words.strip() else "",
            lacks=properties.get("lacks", ""),
            found=properties.get("found", ""),
        )
        before = outcomes.get(outcome.id)  # a test whose teardown failed too is there twice
        if before is None or not before.failure:
            outcomes[outcome.id] = outcome
    return tuple(outcomes.values())


def cell(group: Group, outcomes: Iterable[Outcome]) -> str:
    """What the table says of a group on a release: yes, no and why, or how many of its tests failed."""
    mine = [o for o in outcomes if group.has(o.file, o.name)]
    if not mine:
        return group.absent or "**no test ran**"
    failed = [o for o in mine if o.failure]
    if failed:
        return f"**fails** ({len(failed)} of {len(mine)})"
    lacks = list(dict.fromkeys(o.lacks for o in mine if o.lacks))
    if not lacks:
        return ": ".join(["yes", *filter(None, ["; ".join(o.found for o in mine if o.found)])])
    verdict = "no" if all(o.lacks for o in mine) else "yes, but"
    return f"{verdict}: {'; '.join(lacks)}"


def cell_on(group: Group, release: str, outcomes: Iterable[Outcome]) -> str:
    """The same in a release's column, where a group may not be for this release."""
    return cell(group, outcomes) if group.is_for(release) else "not run here"


def is_bad(text: str) -> bool:
    """Whether a cell is a failure, not a fact about the release."""
    return text.startswith("**")


def render(groups: Sequence[Group], runs: Mapping[str, Sequence[Outcome]], names: Mapping[str, str]) -> str:
    """A Markdown table; `names` are the columns' heads by release."""
    rows = [["", *(names[release] for release in runs)]]
    rows += [[g.title, *(cell_on(g, *run) for run in runs.items())] for g in groups]
    lines = ["| " + " | ".join(word.replace("|", "\\|") for word in row) + " |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join(lines)


def put_into(page: str, table: str) -> str:
    """The page with the table between its markers. Raises ValueError when it has none."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"
