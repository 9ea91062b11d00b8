"""CURVE key pairs in files: the controller's, and one for each node or relay. docs/bus.md has the format.

Keys are Z85 text (40 characters) as bytes, as libzmq takes them. A secret is in no repr.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from hetslurm.bus.private_file import read_private, write_private
from hetslurm.errors import KeyFileError

SERVER_FILE = "server.key"
NODE_FILE = "node.key"
RELAY_FILE = "relay.key"
ROLES = ("node", "relay")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_Z85 = re.compile(rb"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_TOP = "# hetslurm {what}. It holds a secret: mode 0600, and nobody else's business.\n"


@dataclass(frozen=True, slots=True)
class ServerKey:
    """The pair of a listening end: the controller's, or a relay's."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NodeKey:
    """What a sender needs: who it is, its pair, and the public key of the end it connects to."""

    node: str
    public: bytes
    secret: bytes = field(repr=False)
    server_public: bytes
    role: str = "node"


def make_pair() -> ServerKey:
    """A new key pair, from libsodium's randomness."""
    public, secret = zmq.curve_keypair()
    return ServerKey(public, secret)


def is_name(text: str) -> bool:
    """Can this be a node's name (and the name of its file)?"""
    return _NAME.fullmatch(text) is not None


def is_key(text: bytes) -> bool:
    """Is this a key in Z85?"""
    return _Z85.fullmatch(text) is not None


def load_server_key(folder: Path) -> ServerKey:
    """The controller's pair from `folder/server.key`. Raises KeyFileError."""
    path = folder / SERVER_FILE
    values = _read(path, ("public", "secret"))
    return ServerKey(*_pair(path, values))


def load_node_key(path: Path) -> NodeKey:
    """What `hetslurm keys issue` made for a node, or for a relay. Raises KeyFileError."""
    values = _read(path, ("role", "node", "public", "secret", "server"))
    public, secret = _pair(path, values)
    if values["role"] not in ROLES or not is_name(values["node"]):
        raise KeyFileError(f"{path}: no role and name of a node; issue it again: hetslurm keys issue NODE")
    return NodeKey(values["node"], public, secret, _key(path, values, "server"), values["role"])


def write_server_key(folder: Path, key: ServerKey) -> None:
    """Put the controller's pair into its folder."""
    write_private(
        folder / SERVER_FILE,
        _TOP.format(what="controller key") + _lines(public=key.public, secret=key.secret),
    )


def write_node_key(path: Path, key: NodeKey) -> None:
    """Put a node's key into a file that is to be copied to the node."""
    lines = _lines(
        role=key.role.encode(),
        node=key.node.encode(),
        public=key.public,
        secret=key.secret,
        server=key.server_public,
    )
    write_private(path, _TOP.format(what=f"{key.role} key") + lines)


def _lines(**values: bytes) -> str:
    return "".join(f"{name} {value.decode('ascii')}\n" for name, value in values.items())


def _read(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """The `name value` lines of a key file; every name once, and no other."""
    text, _ = read_private(path)
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        if name not in names or name in values:
            raise KeyFileError(f"{path}:{number}: expected one line each of {', '.join(names)}")
        values[name] = value.strip()
    if missing := [name for name in names if name not in values]:
        raise KeyFileError(f"{path}: it has no line `{missing[0]} …`; is it the right file?")
    return values


def _key(path: Path, values: dict[str, str], name: str) -> bytes:
    value = values[name].encode("ascii")
    if not is_key(value):
        raise KeyFileError(f"{path}: `{name}` is no key of 40 characters; copy the file again")
    return value


def _pair(path: Path, values: dict[str, str]) -> tuple[bytes, bytes]:
    public, secret = _key(path, values, "public"), _key(path, values, "secret")
    try:
        is_pair = zmq.curve_public(secret) == public
    except zmq.ZMQError:
        is_pair = False
    if not is_pair:
        raise KeyFileError(f"{path}: its public and its secret key are no pair; copy the file again")
    return public, secret
