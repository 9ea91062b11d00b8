"""Try hetslurm on every release of Slurm and write down what works where: `make matrix`, docs/matrix.md."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from table import Group, Outcome, cell_on, is_bad, parse_groups, put_into, read_junit, render

TOOLS = Path(__file__).resolve().parent
TOP = TOOLS.parents[1]
RELEASES = ("22.05", "24.11", "26.05")
LIMIT_S = 1500.0
# More failures than these are no accident, and are not tried again.
MOST_TRIED_AGAIN = 5


def say(words: str) -> None:
    """Progress, at once."""
    print(f"matrix: {words}", flush=True)


class Release:
    """One release: how a command runs on it, and what it left."""

    def __init__(self, name: str, folder: Path, pyslurm: str) -> None:
        self.name = name
        self.folder = folder
        self.is_host = name == RELEASES[0] and f" {name}." in _output("slurmctld", "-V")
        self.pyslurm = pyslurm if pyslurm and not self.is_host and _fits(pyslurm, name) else ""
        self.log = folder / f"{name}-tests.log"

    def command(self, words: list[str]) -> list[str]:
        """What runs `words` there, with the tree as current folder."""
        if self.is_host:
            return ["env", f"PATH={TOP}/.venv/bin:{_output('printenv', 'PATH').strip()}", *words]
        if self.pyslurm:
            script = f"tools/matrix/pyslurm.sh {shlex.quote(self.pyslurm)} && exec {shlex.join(words)}"
            words = ["env", "MATRIX_PYSLURM=1", "sh", "-c", script]
        return [str(TOOLS / "run"), self.name, *words]

    def left(self, name: str) -> Path:
        """A file of build/, as a command there wrote it."""
        return (TOP if self.is_host else self.folder / self.name / "hetslurm") / "build" / name

    def pytest(self, tests: list[str]) -> tuple[Outcome, ...]:
        """Run these tests. Raises RuntimeError when pytest itself did not come to its end."""
        xml = self.left("matrix.xml")
        xml.unlink(missing_ok=True)
        # Tests drop a connection to SQLite as a kill would; Python says so from 3.13 on.
        quiet = ["-W", "ignore:unclosed database:ResourceWarning", "-p", "no:cacheprovider"]
        words = ["pytest", "-q", "--durations=15", "--junitxml=build/matrix.xml", *quiet, *tests]
        with self.log.open("ab") as log:
            try:
                subprocess.run(
                    self.command(words),
                    check=False,
                    cwd=TOP,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=LIMIT_S,
                )
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"the tests on {self.name} took more than {LIMIT_S:.0f} s") from None
        if not xml.exists():
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
            raise RuntimeError(f"the tests on {self.name} did not run:\n{tail}")
        return read_junit(xml.read_text())

    def outcomes(self, groups: tuple[Group, ...]) -> tuple[Outcome, ...]:
        """All groups' tests; the few that failed get a second try, which is told."""
        start = time.monotonic()
        self.log.write_bytes(b"")
        say(f"{self.name}: testing {'on this machine' if self.is_host else 'in its chroot'}")
        mine = [group for group in groups if group.is_for(self.name)]
        found = self.pytest(sorted({test for group in mine for test in group.tests}))
        # What was measured counts: it is not measured again until it pleases.
        failed = [o for o in found if o.failure and not o.found]
        if 0 < len(failed) <= MOST_TRIED_AGAIN:
            for one in failed:
                say(f"{self.name}: {one.id} failed ({one.failure}); trying it again")
            again = {o.id: replace(o, tries=2) for o in self.pytest([o.id for o in failed])}
            found = tuple(again.get(o.id, o) for o in found)
        bad = [o for o in found if o.failure]
        took = time.monotonic() - start
        say(f"{self.name}: {len(found) - len(bad)} passed, {len(bad)} failed in {took:.0f} s")
        for one in bad:
            say(f"{self.name}: FAILED {one.id}: {one.failure}")
        return found


def _output(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def _fits(source: str, release: str) -> bool:
    """Whether a tree of pyslurm is for this release."""
    found = re.search(r'__version__ = "(\d+)\.(\d+)', Path(source, "pyslurm/version.py").read_text())
    return found is not None and f"{int(found[1])}.{int(found[2]):02d}" == release


def main() -> int:
    """Exit status: 0 all well, 1 a group failed on a release."""
    parser = argparse.ArgumentParser(prog="matrix", description=__doc__)
    chroots = Path(os.environ.get("HETSLURM_MATRIX_DIR") or TOP / "build/matrix")
    parser.add_argument("--folder", type=Path, default=chroots, help="where the chroots are")
    parser.add_argument("--release", action="append", choices=RELEASES, help="only this one; the table stays")
    parser.add_argument(
        "--use", action="append", default=[], metavar="RELEASE=XML[,XML]", help="what pytest wrote"
    )
    parser.add_argument("--pyslurm", default="", help="a source tree of pyslurm")
    parser.add_argument("--side-by-side", type=int, default=2, help="releases at once")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    groups = parse_groups((TOOLS / "groups.toml").read_text())
    releases = [Release(r, chosen.folder, chosen.pyslurm) for r in chosen.release or RELEASES]
    used = dict(word.split("=", 1) for word in chosen.use)
    start = time.monotonic()

    def outcomes(release: Release) -> tuple[Outcome, ...]:
        # What was run elsewhere on this machine says nothing of 22.05 unless that is this machine's.
        if (files := used.get(release.name)) and (release.is_host or release.name != RELEASES[0]):
            say(f"{release.name}: taken from {files}")
            return tuple(o for xml in files.split(",") for o in read_junit(Path(xml).read_text()))
        return release.outcomes(groups)

    with ThreadPoolExecutor(chosen.side_by_side) as pool:
        found = dict(zip([r.name for r in releases], pool.map(outcomes, releases), strict=True))
    wanted = {
        name: [o for o in run if any(g.has(o.file, o.name) for g in groups)] for name, run in found.items()
    }
    results = {name: [asdict(o) for o in run] for name, run in wanted.items()}
    (chosen.folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    heads = {"22.05": "22.05 (Debian 12)", "24.11": "24.11 (Debian 13)", "26.05": "26.05 (forky)"}
    table = render(groups, wanted, heads)
    print(table, flush=True)
    if not chosen.release:
        readme = TOP / "README.md"
        readme.write_text(put_into(readme.read_text(), table))
    say(f"done in {time.monotonic() - start:.0f} s")
    for name, run in wanted.items():
        passed = sum(not o.failure for o in run)
        twice = sum(o.tries > 1 for o in run)
        say(f"{name}: {passed} passed, {len(run) - passed} failed, {twice} tried twice")
    return int(any(is_bad(cell_on(g, *run)) for run in wanted.items() for g in groups))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"matrix: {error}")
