"""Issuing and revoking keys: what changes the registry, under a lock. `hetslurm keys` is its command line."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hetslurm.bus.keys import (
    ROLES,
    SERVER_FILE,
    NodeKey,
    ServerKey,
    is_name,
    load_server_key,
    make_pair,
    write_node_key,
    write_server_key,
)
from hetslurm.bus.private_file import give_to_owner_of, write_private
from hetslurm.bus.registry import REGISTRY_FILE, Issued, Registry, load_registry, render_registry
from hetslurm.clock import Clock
from hetslurm.errors import KeyFileError

LOCK_FILE = "registry.lock"


class Authority:
    """The keys folder of the controller. Methods raise KeyFileError, having changed nothing in force."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def init(self) -> tuple[ServerKey, bool]:
        """Make folder, controller's key and registry; what is there stays. True when the key is new."""
        try:
            _make_folder(self._folder)
        except OSError as error:
            raise KeyFileError(f"{self._folder}: cannot be made: {error.strerror}") from error
        with self._lock():
            is_new = not os.path.lexists(self._folder / SERVER_FILE)
            if is_new:
                write_server_key(self._folder, make_pair())
            if not os.path.lexists(self._folder / REGISTRY_FILE):
                self._write(())
            load_registry(self._folder)
            return load_server_key(self._folder), is_new

    def issue(
        self, names: Sequence[str], *, out: Path | None = None, role: str = "node", via: str = ""
    ) -> list[Path]:
        """A new key for each name, in files `out/NAME.key`; earlier keys of these are revoked.

        A relay's file is `NAME.relay.key`: its machine may be a node too, with a key of its own. `via` names
        a relay that the nodes will connect to, in place of the controller.
        """
        for name in names:
            if not is_name(name):
                raise KeyFileError(f"{name!r} is no node name: letters, digits, dot, dash and underscore")
        folder = out or self._folder / "issued"
        try:
            _make_folder(folder)
        except OSError as error:
            raise KeyFileError(f"{folder}: cannot be made: {error.strerror}") from error
        with self._lock():
            registry = load_registry(self._folder)
            server = _relay_key(registry, via) if via else load_server_key(self._folder).public
            now, fresh, paths = self._clock.now(), [], []
            for name in dict.fromkeys(names):
                pair = make_pair()
                path = folder / (f"{name}.relay.key" if role == "relay" else f"{name}.key")
                write_node_key(path, NodeKey(name, pair.public, pair.secret, server, role))
                fresh.append(Issued(role, name, pair.public.decode(), now))
                paths.append(path)
            superseded = frozenset((role, name) for name in names)
            self._write((*_revoke(registry.entries, superseded, now), *fresh))
        return paths

    def revoke(self, names: Sequence[str]) -> list[str]:
        """Revoke all keys of these names; running receivers know within a second. The keys revoked."""
        with self._lock():
            registry = load_registry(self._folder)
            revoked = [e.public for e in registry.in_force.values() if e.node in names]
            missing = set(names) - {e.node for e in registry.entries}
            if missing:
                raise KeyFileError(
                    f"no key was ever issued to {', '.join(sorted(missing))}; nothing is revoked"
                )
            all_roles = frozenset((role, name) for role in ROLES for name in names)
            self._write(_revoke(registry.entries, all_roles, self._clock.now()))
        return revoked

    def list(self) -> tuple[Issued, ...]:
        """Every key ever issued, oldest first."""
        return load_registry(self._folder).entries

    def _write(self, entries: Sequence[Issued]) -> None:
        write_private(self._folder / REGISTRY_FILE, render_registry(entries))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer at a time; waits for the other."""
        path = self._folder / LOCK_FILE
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise KeyFileError(f"{path}: {error.strerror}; run: hetslurm keys init") from error
        try:
            give_to_owner_of(self._folder, file)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)


def _make_folder(folder: Path) -> None:
    """With mode 0700; as root, for the owner of the folder that it is in."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:  # another writer's, or ours of an earlier day
        return
    if not os.geteuid():
        status = folder.parent.stat()
        os.chown(folder, status.st_uid, status.st_gid)


def _revoke(entries: Sequence[Issued], whose: frozenset[tuple[str, str]], now: float) -> tuple[Issued, ...]:
    """`whose` holds roles and names."""
    return tuple(
        replace(e, revoked_at=now) if (e.role, e.node) in whose and e.revoked_at is None else e
        for e in entries
    )


def _relay_key(registry: Registry, name: str) -> bytes:
    for entry in registry.in_force.values():
        if entry.role == "relay" and entry.node == name:
            return entry.public.encode()
    raise KeyFileError(
        f"there is no relay {name} with a key in force; run: hetslurm keys issue {name} --relay"
    )
