"""Where things lie in a sandbox's directory, and which ports it took."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from hetslurm.errors import SandboxError

# sockaddr_un.sun_path, with its NUL
MAX_SOCKET_PATH = 107


def closed_folder(path: Path) -> Path | None:
    """The first folder on the way into `path` that users other than its owner and group cannot enter."""
    for folder in (*reversed(path.parents), path):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one sandbox."""

    root: Path

    def __post_init__(self) -> None:
        if len(str(self.munge_socket)) > MAX_SOCKET_PATH:
            raise SandboxError(
                f"{self.root} is too long a path: its munge socket takes over {MAX_SOCKET_PATH} bytes; "
                "choose a shorter --dir"
            )

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def plugins(self) -> Path:
        return self.root / "plugins"

    @property
    def munge_socket(self) -> Path:
        return self.root / "run" / "munge.socket"

    @property
    def mysql_socket(self) -> Path:
        return self.root / "run" / "mysql.socket"

    @property
    def munge_key(self) -> Path:
        return self.root / "munge.key"

    @property
    def slurm_conf(self) -> Path:
        return self.root / "slurm.conf"

    @property
    def config(self) -> Path:
        return self.root / "hetslurm.toml"

    @property
    def burst_policy(self) -> Path:
        return self.root / "burst.toml"

    @property
    def cloud(self) -> Path:
        """What the local provider keeps of its instances."""
        return self.root / "cloud"

    @property
    def programs(self) -> Path:
        """ResumeProgram, SuspendProgram and ResumeFailProgram."""
        return self.root / "programs"

    @property
    def snapshot(self) -> Path:
        return self.root / "run" / "snapshot"

    @property
    def board(self) -> Path:
        return self.root / "run" / "board"

    @property
    def stats(self) -> Path:
        return self.root / "run" / "stats"

    @property
    def controller_state(self) -> Path:
        return self.root / "controller"

    @property
    def keys(self) -> Path:
        """The controller's keys and the registry."""
        return self.root / "keys"

    def node(self, name: str) -> Path:
        """What one pretended node has of its own: key, configuration, pretended devices."""
        return self.root / "nodes" / name

    @property
    def state_file(self) -> Path:
        return self.root / "sandbox.json"

    @property
    def lock_file(self) -> Path:
        return self.root / "sandbox.lock"
