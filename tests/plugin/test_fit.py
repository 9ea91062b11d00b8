"""Whether a built plugin fits the installed Slurm, told from the file alone."""

from __future__ import annotations

import pytest

from hetslurm.errors import PluginError
from hetslurm.slurm.plugin import check_plugin, installed_version, read_plugin
from hetslurm.slurm.version import parse_version


def test_fresh_build_fits_the_installed_slurm(build_dir) -> None:
    assert check_plugin(build_dir / "job_submit_hetslurm.so", installed_version()) == []
    assert check_plugin(build_dir / "spank_hetslurm.so", installed_version()) == []


def test_job_submit_must_match_to_the_micro_release_and_spank_to_the_minor(build_dir) -> None:
    other = installed_version()._replace(micro=installed_version().micro + 1)

    (finding,) = check_plugin(build_dir / "job_submit_hetslurm.so", other)

    assert f"built for Slurm {installed_version()}" in finding
    assert check_plugin(build_dir / "spank_hetslurm.so", other) == []
    assert check_plugin(build_dir / "spank_hetslurm.so", other._replace(minor=other.minor + 1)) != []


def test_name_that_slurmctld_would_not_look_for_is_found(build_dir, tmp_path) -> None:
    copy = tmp_path / "hetslurm.so"
    copy.write_bytes((build_dir / "job_submit_hetslurm.so").read_bytes())

    assert check_plugin(copy, installed_version()) == [
        "slurmctld looks for job_submit_hetslurm.so, not hetslurm.so"
    ]


def test_plugin_exports_what_slurm_looks_up_and_nothing_else(build_dir) -> None:
    assert read_plugin(build_dir / "job_submit_hetslurm.so").exported == {
        "plugin_name", "plugin_type", "plugin_version", "init", "fini", "job_submit", "job_modify"
    }  # fmt: skip
    assert read_plugin(build_dir / "spank_hetslurm.so").exported == {
        "plugin_name",
        "plugin_type",
        "plugin_version",
        "slurm_spank_init",
        "slurm_spank_init_post_opt",
        "slurm_spank_local_user_init",
        "spank_plugin_version",
    }


@pytest.mark.parametrize("damage", [0, 5, 63, 64, 1000, 20_000])
def test_file_cut_short_is_no_plugin(build_dir, tmp_path, damage: int) -> None:
    cut = tmp_path / "job_submit_hetslurm.so"
    cut.write_bytes((build_dir / "job_submit_hetslurm.so").read_bytes()[:damage])

    with pytest.raises(PluginError, match="no Slurm plugin"):
        read_plugin(cut)


@pytest.mark.parametrize(
    ("text", "version"),
    [("slurm-wlm 22.05.8\n", "22.05.8"), ("slurm 26.05.0-0rc1", "26.05.0"), ("slurm 24.11.5", "24.11.5")],
)
def test_version_is_read_from_what_slurmctld_prints(text: str, version: str) -> None:
    assert str(parse_version(text)) == version
