"""Which configuration file counts, and following it through its changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hetslurm.config.site_file import load_site
from hetslurm.errors import ConfigError
from hetslurm.site import Site

SYSTEM_CONFIG = Path("/etc/hetslurm/hetslurm.toml")
VARIABLE = "HETSLURM_CONFIG"


def find_config(
    option: Path | None, environ: Mapping[str, str] = os.environ, system: Path = SYSTEM_CONFIG
) -> Path | None:
    """The file that `--config` names, else HETSLURM_CONFIG, else the system's; None: none, defaults hold.

    A file that was named on purpose is returned whether or not it exists.
    """
    if option is not None:
        return option
    if environ.get(VARIABLE):
        return Path(environ[VARIABLE])
    return system if system.exists() else None


class SiteFile:
    """A Site that follows its file. A change that is wrong leaves the old Site in force and sets `error`."""

    def __init__(self, path: Path | None) -> None:
        """Read the file (None: the defaults). Raises ConfigError."""
        self.path = path.absolute() if path else None
        self.error: str | None = None
        self._seen = self._stamp()
        self.site = load_site(self.path) if self.path else Site()

    def follow(self, *, force: bool = False) -> bool:
        """Read the file again when it changed (or `force`); True: something new is in force, or wrong."""
        stamp = self._stamp()
        if self.path is None or (stamp == self._seen and not force):
            return False
        self._seen = stamp
        before = (self.site, self.error)
        try:
            self.site, self.error = load_site(self.path), None
        except ConfigError as error:
            self.error = str(error)
        return before != (self.site, self.error)

    def _stamp(self) -> tuple[int, int, int] | None:
        if self.path is None:
            return None
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino)
