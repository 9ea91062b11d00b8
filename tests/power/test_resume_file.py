"""What slurmctld says of the nodes that it wants started, in the words of each release."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetslurm.burst.resume_file import parse_resume_file, read_resume_file
from hetslurm.errors import SlurmError

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("release", ["22.05", "23.02", "26.05"])
def test_every_release_says_which_job_a_node_is_started_for(release: str) -> None:
    file = parse_resume_file((GOLDEN / f"resume-{release}.json").read_bytes())
    assert file.nodes == ("cloud1", "cloud2", "cloud4")
    assert file.jobs == {"cloud1": {1}, "cloud2": {1}, "cloud4": {2}}


def test_a_node_that_somebody_powered_up_has_no_job() -> None:
    file = parse_resume_file(b'{"jobs":[],"all_nodes":"cloud2"}\n')
    assert (file.nodes, dict(file.jobs)) == (("cloud2",), {})


@pytest.mark.parametrize("content", [b"", b"{", b'{"jobs":7}', b'{"jobs":[{"job_id":"x"}]}'])
def test_what_was_cut_is_an_error_not_an_empty_list(content: bytes) -> None:
    with pytest.raises(SlurmError, match="SLURM_RESUME_FILE cannot be read"):
        parse_resume_file(content)


def test_a_file_that_is_gone_is_an_error_and_none_that_was_named_is_not(tmp_path: Path) -> None:
    assert read_resume_file({}) is None
    with pytest.raises(SlurmError, match="No such file"):
        read_resume_file({"SLURM_RESUME_FILE": str(tmp_path / "gone")})
