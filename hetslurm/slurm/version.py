"""Slurm's releases, as its programs print them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from hetslurm.errors import SlurmError

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class SlurmVersion(NamedTuple):
    """A release such as 22.05.8."""

    major: int
    minor: int
    micro: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor:02d}.{self.micro}"


def parse_version(text: str) -> SlurmVersion:
    """The release in a text like "slurm-wlm 22.05.8" or "slurm 26.05.0-0rc1"."""
    found = _VERSION.search(text)
    if found is None:
        raise SlurmError(
            f"no Slurm release in {text.strip()[:40]!r}: expected something like 'slurm 24.11.5'"
        )
    return SlurmVersion(*(int(part) for part in found.groups()))
