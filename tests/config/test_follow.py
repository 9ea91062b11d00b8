"""A configuration file is followed; a change that is wrong leaves the old one in force."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hetslurm.config import SiteFile, find_config
from hetslurm.errors import ConfigError
from hetslurm.site import Site


def write(path: Path, text: str) -> None:
    """As an editor does: a new file over the old."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_change_of_the_file_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "hetslurm.toml"
    write(path, 'currency = "EUR"')
    file = SiteFile(path)
    assert not file.follow()
    write(path, 'currency = "CHF"')
    assert file.follow()
    assert file.site.currency == "CHF"


def test_a_wrong_change_keeps_the_old_and_says_so_until_it_is_right(tmp_path: Path) -> None:
    path = tmp_path / "hetslurm.toml"
    write(path, 'currency = "EUR"')
    file = SiteFile(path)
    write(path, "currency = 3")
    assert file.follow()
    assert file.site.currency == "EUR"
    assert file.error == f"{path}:1: currency: expected a text that is not empty, found 3"
    assert not file.follow()
    assert file.error
    write(path, 'currency = "CHF"')
    assert file.follow()
    assert (file.site.currency, file.error) == ("CHF", None)


def test_a_file_that_goes_away_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "hetslurm.toml"
    write(path, 'currency = "CHF"')
    file = SiteFile(path)
    path.unlink()
    assert file.follow()
    assert file.site.currency == "CHF"
    assert file.error
    assert "No such file" in file.error


def test_a_forced_reload_reads_a_file_whose_stamp_did_not_change(tmp_path: Path) -> None:
    path = tmp_path / "hetslurm.toml"
    path.write_text('currency = "EUR"')
    status = path.stat()
    file = SiteFile(path)
    path.write_text('currency = "CHF"')
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not file.follow()
    assert file.follow(force=True)
    assert file.site.currency == "CHF"


def test_a_wrong_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        SiteFile(tmp_path / "absent.toml")


def test_no_file_means_the_defaults() -> None:
    file = SiteFile(None)
    assert file.site == Site()
    assert not file.follow(force=True)


def test_the_option_comes_before_the_variable_before_the_system_file(tmp_path: Path) -> None:
    system = tmp_path / "system.toml"
    assert find_config(None, {}, system) is None
    system.touch()
    assert find_config(None, {}, system) == system
    assert find_config(None, {"HETSLURM_CONFIG": "/v"}, system) == Path("/v")
    assert find_config(Path("/o"), {"HETSLURM_CONFIG": "/v"}, system) == Path("/o")
