"""Key files and the registry: who may read them, what is refused, what the command line does with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.bus.authority import Authority
from hetslurm.bus.keys import load_node_key, load_server_key, make_pair
from hetslurm.bus.registry import Issued, load_registry, parse_registry, registry_of, render_registry
from hetslurm.clock import FixedClock
from hetslurm.errors import KeyFileError

Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "keys", FixedClock(1_700_000_000.0))
    made.init()
    return made


def _files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "keys").rglob("*") if path.is_file()]


def test_all_files_are_for_their_owner_alone(authority: Authority, tmp_path: Path) -> None:
    authority.issue(["gpu1"])
    assert {path.stat().st_mode & 0o777 for path in _files(tmp_path)} == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "issued").stat().st_mode & 0o777 == 0o700


def test_an_issued_key_holds_what_its_node_needs(authority: Authority, tmp_path: Path) -> None:
    (path,) = authority.issue(["gpu1"])
    key = load_node_key(path)
    assert (path.name, key.node, key.role) == ("gpu1.key", "gpu1", "node")
    assert key.server_public == load_server_key(tmp_path / "keys").public
    assert load_registry(tmp_path / "keys").in_force[key.public.decode()].node == "gpu1"


def test_init_keeps_the_key_that_is_there(authority: Authority, tmp_path: Path) -> None:
    before = load_server_key(tmp_path / "keys")
    assert authority.init() == (before, False)


def test_issuing_again_revokes_the_nodes_earlier_key_alone(authority: Authority, tmp_path: Path) -> None:
    authority.issue(["gpu1", "gpu2"])
    authority.issue(["gpu1"], role="relay")
    old = load_node_key(tmp_path / "keys" / "issued" / "gpu1.key").public.decode()
    authority.issue(["gpu1"])
    registry = load_registry(tmp_path / "keys")
    assert registry.revoked == {old}
    assert sorted((e.role, e.node) for e in registry.in_force.values()) == [
        ("node", "gpu1"),
        ("node", "gpu2"),
        ("relay", "gpu1"),
    ]


def test_revoking_a_node_that_never_had_a_key_revokes_nothing(authority: Authority, tmp_path: Path) -> None:
    authority.issue(["gpu1"])
    with pytest.raises(KeyFileError, match="gpu9"):
        authority.revoke(["gpu1", "gpu9"])
    assert not load_registry(tmp_path / "keys").revoked


@pytest.mark.parametrize("name", ["", "../gpu1", "a/b", ".hidden", "a b", "a\nb", "x" * 256])
def test_what_is_no_node_name_gets_no_key(authority: Authority, tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="no node name"):
        authority.issue([name])
    assert not load_registry(tmp_path / "keys").entries


def test_writers_at_the_same_time_lose_no_key(authority: Authority, tmp_path: Path) -> None:
    threads = [threading.Thread(target=authority.issue, args=([f"n{i}"],)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_registry(tmp_path / "keys").in_force) == 16


def test_no_secret_is_in_a_repr(authority: Authority, tmp_path: Path) -> None:
    key = load_node_key(authority.issue(["gpu1"])[0])
    server = load_server_key(tmp_path / "keys")
    assert key.secret.decode() not in repr(key)
    assert server.secret.decode() not in repr(server)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666])
def test_a_key_file_that_others_can_open_is_refused(authority: Authority, mode: int) -> None:
    (path,) = authority.issue(["gpu1"])
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"mode {mode:04o}.*chmod 600 {path}"):
        load_node_key(path)


def test_a_folder_in_which_others_can_replace_files_is_refused(authority: Authority) -> None:
    (path,) = authority.issue(["gpu1"])
    path.parent.chmod(0o770)
    with pytest.raises(KeyFileError, match="chmod go-w"):
        load_node_key(path)


def test_a_link_in_place_of_a_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    (path,) = authority.issue(["gpu1"])
    link = tmp_path / "keys" / "link"
    link.symlink_to(path)
    with pytest.raises(KeyFileError, match="symbolic link"):
        load_node_key(link)


def test_a_pipe_in_place_of_a_key_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileError, match="not a regular file"):
        load_node_key(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_of_another_user_is_refused(authority: Authority) -> None:
    (path,) = authority.issue(["gpu1"])
    os.chown(path, 12345, -1)
    with pytest.raises(KeyFileError, match="belongs to user 12345"):
        load_node_key(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_issues_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    authority = Authority(folder, FixedClock(0.0))
    authority.init()
    authority.issue(["gpu1"])
    assert {path.stat().st_uid for path in folder.rglob("*")} == {12345}
    load_server_key(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text.replace("secret ", "secrets "),
        lambda text: text + text,
        lambda text: text.replace("server ", "server x"),
        lambda text: text.replace("role node", "role king"),
        lambda text: "\n".join(line for line in text.splitlines() if not line.startswith("server")),
        lambda text: text.replace("node gpu1", "node ../x"),
        lambda text: text + "é",
    ],
)
def test_a_key_file_that_is_broken_is_refused(authority: Authority, change: object) -> None:
    (path,) = authority.issue(["gpu1"])
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(KeyFileError, match=str(path)):
        load_node_key(path)


def test_keys_that_are_no_pair_are_refused(authority: Authority) -> None:
    (path,) = authority.issue(["gpu1"])
    secret = load_node_key(path).secret.decode()
    path.write_text(path.read_text().replace(secret, make_pair().secret.decode()))
    with pytest.raises(KeyFileError, match="no pair"):
        load_node_key(path)


_issued = st.builds(
    Issued,
    st.sampled_from(["node", "relay"]),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,30}", fullmatch=True),
    st.text(Z85, min_size=40, max_size=40),
    st.integers(0, 2**32).map(float),
    st.none() | st.integers(0, 2**32).map(float),
)


@given(st.lists(_issued, max_size=8))
def test_a_registry_is_read_as_it_was_written(entries: list[Issued]) -> None:
    assert parse_registry(render_registry(entries)) == registry_of(entries)


@given(st.text())
def test_any_text_is_a_registry_or_is_refused(text: str) -> None:
    try:
        parse_registry(text)
    except KeyFileError:
        return


def test_a_registry_with_half_a_line_is_refused_whole(authority: Authority, tmp_path: Path) -> None:
    authority.issue(["gpu1"])
    path = tmp_path / "keys" / "registry"
    path.write_text(path.read_text()[:-10])
    with pytest.raises(KeyFileError, match="registry:2: expected"):
        load_registry(tmp_path / "keys")


def _run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "hetslurm.toml"
    config.write_text(f'[bus]\nkeys_dir = "{tmp_path}/keys"\n')
    command = [sys.executable, "-P", "-m", "hetslurm", "keys", *words, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_line_issues_revokes_and_lists_and_shows_no_secret(tmp_path: Path) -> None:
    said = [
        _run(tmp_path, "init"),
        _run(tmp_path, "issue", "gpu[1-3],n7", "--json"),
        _run(tmp_path, "revoke", "gpu[1-2]"),
        _run(tmp_path, "list", "--json"),
        _run(tmp_path, "list"),
    ]
    assert [one.returncode for one in said] == [0] * 5, [one.stderr for one in said]
    issued = json.loads(said[1].stdout)["issued"]
    assert [one["node"] for one in issued] == ["gpu1", "gpu2", "gpu3", "n7"]
    listed = json.loads(said[3].stdout)["keys"]
    assert [(one["node"], one["revoked"] is not None) for one in listed] == [
        ("gpu1", True),
        ("gpu2", True),
        ("gpu3", False),
        ("n7", False),
    ]
    secrets = [load_node_key(Path(one["file"])).secret.decode() for one in issued]
    secrets.append(load_server_key(tmp_path / "keys").secret.decode())
    told = "".join(one.stdout + one.stderr for one in said)
    assert not [secret for secret in secrets if secret in told]


def test_nodes_of_a_relay_get_its_key_as_their_server_key(tmp_path: Path) -> None:
    for words in (["init"], ["issue", "r1", "--relay"], ["issue", "gpu1", "--via", "r1"]):
        assert _run(tmp_path, *words).returncode == 0
    issued = tmp_path / "keys" / "issued"
    assert load_node_key(issued / "gpu1.key").server_public == load_node_key(issued / "r1.relay.key").public
    refused = _run(tmp_path, "issue", "gpu2", "--via", "gpu1")
    assert (refused.returncode, "no relay gpu1" in refused.stderr) == (2, True)


def test_without_a_keys_folder_the_command_line_says_what_to_run(tmp_path: Path) -> None:
    for words in (["list"], ["issue", "gpu1"], ["revoke", "gpu1"]):
        refused = _run(tmp_path, *words)
        assert refused.returncode == 2
        assert "hetslurm keys init" in refused.stderr
