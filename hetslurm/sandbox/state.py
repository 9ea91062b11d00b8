"""What a sandbox remembers of itself: its spec, its ports, its daemons. Written after every start."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from hetslurm.errors import SandboxError
from hetslurm.sandbox.process import Process
from hetslurm.sandbox.spec import Spec


class State(msgspec.Struct, kw_only=True):
    """The content of sandbox.json."""

    version: int = 1
    ready: bool = False
    spec: Spec
    ports: dict[str, int]
    processes: dict[str, Process] = msgspec.field(default_factory=dict)


def load(path: Path) -> State | None:
    """The state in `path`, None when there is no such file. Raises SandboxError when it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise SandboxError(
            f"{path} is no sandbox state ({error}); `hetslurm sandbox down` clears the directory"
        ) from error


def save(path: Path, state: State) -> None:
    """Replace `path` atomically."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n")
    os.replace(new, path)
