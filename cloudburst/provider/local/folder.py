"""The folder of one pretended instance. Each file has one writer and is replaced in one step.

order.json      what was launched                     the provider, once
alive           locked as long as the instance lives  the instance (inherited from who started it)
begun.json      the instance's own process            the instance
family.json     every process that it has             the instance
deadline.json   when it ends itself, if extended      the provider
terminate       its last order                        the provider
notice.json     when it will be taken away            whoever plays the cloud
lost            it vanished                           whoever plays the cloud
ended.json      when it ended and why                 the instance, or who found it dead
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalOrder:
    """What was launched, as the instance and every later provider need it. Unix seconds, micro-units."""

    node: str
    generation: int
    token: str
    partition: str
    instance_type: str
    purchase: str
    zone: str
    price_micro: int
    launched_at: float
    deadline_at: float
    boot_s: float
    fault: str
    argv: list[str]
    agent_argv: list[str]
    slurm_conf: str
    tags: dict[str, str]


def instance_id(token: str) -> str:
    """The same for the same token, so that a token can only ever be one instance."""
    return "local-" + hashlib.sha256(token.encode()).hexdigest()[:17]


class Folder:
    """One instance's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The instance's id."""
        return self.path.name

    def order(self) -> LocalOrder | None:
        """What was launched; None: nothing was, yet."""
        known = self.read("order.json")
        try:
            return LocalOrder(**known) if known else None  # type: ignore[arg-type]
        except TypeError:
            return None

    def write_order(self, order: LocalOrder) -> None:
        """Keep what is about to be launched."""
        self.write("order.json", asdict(order))

    def deadline_at(self, order: LocalOrder) -> float:
        """When it ends itself, Unix seconds."""
        return _number(self.read("deadline.json").get("at"), order.deadline_at)

    def notice_at(self) -> float | None:
        """When it will be taken away; None: no notice."""
        at = self.read("notice.json").get("time")
        return float(at) if isinstance(at, int | float) else None

    def ended_at(self) -> float | None:
        """When it ended; None: it did not."""
        at = self.read("ended.json").get("at")
        return float(at) if isinstance(at, int | float) else None

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.path / name).exists()

    def mark(self, name: str) -> None:
        """Make an empty file."""
        (self.path / name).touch()

    def read(self, name: str) -> dict[str, object]:
        """A JSON object; empty where there is none."""
        try:
            known = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def write(self, name: str, content: object) -> None:
        """Replace a file in one step, on disk before its name is."""
        write_whole(self.path / name, content)

    def claim(self) -> int | None:
        """The lock of the living as a descriptor; None: it lives, or another is just looking."""
        file = os.open(self.path / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return file


def write_whole(path: Path, content: object) -> None:
    """Replace a JSON file in one step."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with what the lock file stands for."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default
