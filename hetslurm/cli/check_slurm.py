"""`hetslurm check slurm.conf`: which moves a site has, why not others, and the lines that would give more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hetslurm.cli.output import print_table, say

if TYPE_CHECKING:
    from hetslurm.cluster import Cluster
    from hetslurm.site import Site

COLUMNS = (("from", "left"), ("to", "left"), ("partition", "left"), ("move", "left"), ("why not", "left"))
ROUTES = {
    "plain": "yes",
    "set-gres": "yes",
    "filler": "yes, with a filler",
    "empty-gres": "yes",
    "dummy": "yes, with dummies",
}
RUNNING = "slurm.conf"  # where there is no such file: that of the slurmctld that answers
_SETTING = re.compile(r"^(\w+)\s*=\s*(.*)$", re.MULTILINE)


def check_slurm(path: str, site: Site) -> dict[str, Any]:
    """What `check slurm.conf --json` prints. SlurmError where file or slurmctld cannot be read."""
    from hetslurm.rebinding.advice import more_lines, moves_of, warnings_of  # noqa: PLC0415

    cluster, settings = _read(path, site)
    return {
        "file": path,
        "release": "{}.{:02}.{}".format(*cluster.version),
        "moves": [
            {
                "from": move.source,
                "to": move.target,
                "partition": move.partition or None,
                "possible": move.way.is_open,
                "route": move.way.route and str(move.way.route),
                "why_not": move.way.why or None,
            }
            for move in moves_of(cluster, site)
        ],
        "lines": [
            {"file": part.file, "why": part.why, "lines": list(part.lines)}
            for part in more_lines(cluster, site)
        ],
        "warnings": warnings_of(cluster, site, settings),
    }


def render(report: dict[str, Any]) -> None:
    """The same for people."""
    say(f"{report['file']}: Slurm {report['release']}")
    rows = [
        (
            move["from"],
            move["to"] if move["from"] != move["to"] else "the same, another partition",
            move["partition"] or "any",
            ROUTES[move["route"]] if move["possible"] else "no",
            move["why_not"] or "",
        )
        for move in report["moves"]
    ]
    print_table("", COLUMNS, rows)
    for part in report["lines"]:
        say(f"{part['file']}, so that {part['why']}:")
        for line in part["lines"]:
            say(f"    {line}")
    for warning in report["warnings"]:
        say(f"warning: {warning}")


def _read(path: str, site: Site) -> tuple[Cluster, dict[str, str]]:
    from hetslurm.slurm import choose_adapter  # noqa: PLC0415
    from hetslurm.slurm.conf_text import read_conf  # noqa: PLC0415
    from hetslurm.slurm.plugin import installed_version  # noqa: PLC0415
    from hetslurm.slurm.run import run_slurm  # noqa: PLC0415

    if Path(path).is_file() or path != RUNNING:
        version = installed_version()
        return read_conf(Path(path), (version.major, version.minor, version.micro))
    cluster = choose_adapter(site.adapter).read_cluster()
    text = run_slurm(("scontrol", "show", "config"), deadline_s=30.0).decode("utf-8", "replace")
    return cluster, {key.lower(): value.strip() for key, value in _SETTING.findall(text)}
