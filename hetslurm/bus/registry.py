"""The registry: which public key is which node's, and which are revoked. Text, a line a key.

role name public-key issued revoked
node gpu1 Z85…       2026-01-31T12:00:00Z -
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hetslurm.bus.keys import ROLES, is_key, is_name
from hetslurm.bus.log import EventLog, QuietLog
from hetslurm.bus.private_file import read_private
from hetslurm.clock import Clock
from hetslurm.errors import KeyFileError

REGISTRY_FILE = "registry"
LOOK_EVERY_S = 1.0
_TOP = "# hetslurm: keys issued, one a line: role, name, public key, issued, revoked (- : in force).\n"


@dataclass(frozen=True, slots=True)
class Issued:
    """One key that was issued. Times are Unix seconds; `revoked_at` None: in force."""

    role: str
    node: str
    public: str
    issued_at: float
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """All keys ever issued; `in_force` maps a public key to its entry, `revoked` holds the others."""

    entries: tuple[Issued, ...] = ()
    in_force: Mapping[str, Issued] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()


def registry_of(entries: Iterable[Issued]) -> Registry:
    """The entries, ready to be looked up. A key that is revoked anywhere is in force nowhere."""
    all_entries = tuple(entries)
    revoked = frozenset(e.public for e in all_entries if e.revoked_at is not None)
    in_force = {e.public: e for e in all_entries if e.public not in revoked}
    return Registry(all_entries, in_force, revoked)


def render_registry(entries: Iterable[Issued]) -> str:
    """The file's text."""
    return _TOP + "".join(
        f"{e.role} {e.node} {e.public} {_time(e.issued_at)} {_time(e.revoked_at)}\n" for e in entries
    )


def parse_registry(text: str, path: str = REGISTRY_FILE) -> Registry:
    """The file's entries. KeyFileError for any wrong line: half a registry revokes at random."""
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(" ")
        try:
            role, node, public, issued, revoked = words
            issued_at, revoked_at = _seconds(issued), None if revoked == "-" else _seconds(revoked)
        except ValueError:
            role = node = public = ""
            issued_at, revoked_at = 0.0, None
        if role not in ROLES or not is_name(node) or not is_key(public.encode()):
            raise KeyFileError(f"{path}:{number}: expected `role name key issued revoked`")
        entries.append(Issued(role, node, public, issued_at, revoked_at))
    return registry_of(entries)


def load_registry(folder: Path) -> Registry:
    """The registry of this folder. Raises KeyFileError."""
    path = folder / REGISTRY_FILE
    return parse_registry(read_private(path)[0], str(path))


class Follow:
    """The registry file as it is now: looked at once a second, read again when it is another.

    A file that cannot be trusted leaves the last one in force; `errors` counts those looks.
    """

    def __init__(self, folder: Path, log: EventLog, clock: Clock) -> None:
        self._path = folder / REGISTRY_FILE
        self._log = QuietLog(log, clock)
        self._clock = clock
        self._looked_at = clock.monotonic()
        self.errors = 0
        self._seen = _stamp(self._path)
        self.registry = load_registry(folder)

    def refresh(self, *, at_once: bool = False) -> bool:
        """True when there is a new `registry`. `at_once`: look though less than a second has passed."""
        now = self._clock.monotonic()
        if not at_once and now - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = now
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return False
        try:
            self.registry = load_registry(self._path.parent)
        except KeyFileError as error:
            self.errors += 1
            self._log.error("the registry cannot be used, the old one stays in force", error=error)
            return False
        self._seen = stamp
        self._log.info("registry read", keys=len(self.registry.in_force), revoked=len(self.registry.revoked))
        return True


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What tells one state of the file from another, its permissions included."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _time(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
