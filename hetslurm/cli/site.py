"""The configuration as commands that only look need it."""

from __future__ import annotations

from pathlib import Path

from hetslurm.cli.output import complain
from hetslurm.config import find_config, load_site, read_what_is_right
from hetslurm.site import Site

# What to do where there is none to read.
NO_SNAPSHOT = "is `hetslurm controller` running, and is this its hetslurm.toml (--config)?"


def site_to_look_at(option: Path | None) -> Site:
    """The Site of the file. A wrong key costs a warning: the controller goes on, and so may a look.

    Raises ConfigError where nothing can be told: the file cannot be read, or is no TOML.
    """
    path = find_config(option)
    if path is None:
        return Site()
    try:
        site, problems = read_what_is_right(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        site, problems = None, ()
    if site is None:
        return load_site(path)
    for problem in problems:
        complain(f"warning: {problem.render(str(path))}")
    return site
