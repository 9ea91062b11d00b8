"""A sandbox touches nothing that it did not write."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetslurm.errors import SandboxError
from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.sandbox.folder import claimed, clear, fill, is_claimed, log_tails
from hetslurm.sandbox.layout import Layout, closed_folder
from hetslurm.sandbox.sandbox import stop


@pytest.fixture
def slurm_of_a_site(tmp_path: Path) -> Path:
    """What /etc/slurm may look like."""
    (tmp_path / "slurm.conf").write_text("ClusterName=production\n")
    (tmp_path / "log").mkdir()
    return tmp_path


def test_up_refuses_a_directory_that_holds_other_files(slurm_of_a_site: Path) -> None:
    with pytest.raises(SandboxError, match="no sandbox wrote"):
        Sandbox.create(slurm_of_a_site, Spec(parse_nodes("cpu=1"), plugins=False))

    assert {path.name for path in slurm_of_a_site.iterdir()} == {"slurm.conf", "log"}


def test_down_leaves_a_directory_that_is_no_sandbox_as_it_is(slurm_of_a_site: Path) -> None:
    assert not stop(slurm_of_a_site)

    assert {path.name for path in slurm_of_a_site.iterdir()} == {"slurm.conf", "log"}


def test_clearing_keeps_what_a_user_put_there(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "s")
    with claimed(layout):
        fill(layout, {"slurm.conf": ""}, {"munge.key": b"secret"}, ["cpu1"])
        (layout.root / "mine.conf").write_text("precious")
        clear(layout, keep_logs=False)

    assert [path.name for path in layout.root.iterdir()] == ["mine.conf"]


def test_clearing_with_logs_kept_leaves_them_and_the_claim(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "s")
    with claimed(layout):
        fill(layout, {"slurm.conf": ""}, {}, ["cpu1"])
        (layout.log / "slurmctld.log").write_text("what happened\n")
        clear(layout, keep_logs=True)

    assert {path.name for path in layout.root.iterdir()} == {"log", "sandbox.lock"}
    assert is_claimed(layout)


def test_secrets_are_for_the_owner_and_the_rest_for_everybody(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "s")
    with claimed(layout):
        fill(layout, {"slurm.conf": ""}, {"munge.key": b"secret"}, ["cpu1"])

    modes = {
        name: oct(layout.root.joinpath(name).stat().st_mode)[-3:]
        for name in ("munge.key", "state", "spool/cpu1")
    }
    assert modes == {"munge.key": "600", "state": "700", "spool/cpu1": "755"}


def test_two_commands_do_not_work_in_one_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "s")
    with claimed(layout), pytest.raises(SandboxError, match="wait for it"), claimed(layout):
        pass


def test_the_folder_that_keeps_others_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a").chmod(0o700)

    closed = closed_folder(tmp_path / "a" / "b")

    assert closed is not None
    assert closed in (tmp_path / "a" / "b").parents


def test_logs_without_trouble_end_with_their_last_lines(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.log.mkdir()
    (layout.log / "slurmctld.out").write_text("".join(f"line {i}\n" for i in range(9)))
    assert log_tails(layout).splitlines() == ["slurmctld.out:", *(f"  line {i}" for i in range(4, 9))]

    (layout.log / "slurmd.out").write_text("fatal: no port\nbye\n")
    assert log_tails(layout).splitlines() == ["slurmd.out:", "  fatal: no port"]
