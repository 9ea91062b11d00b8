"""Every move on a site without fillers and dummies: made, or known to be closed on this release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hetslurm.cluster import Gres
from hetslurm.config import load_site
from hetslurm.rebinding.capability import Holding, read_moves
from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.slurm import JobUpdate
from hetslurm.slurm.binding import differences
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.routes import steps

pytestmark = pytest.mark.slurm

GRES = {"cpu": (), "gpu": (Gres("gpu", "a100", 1),), "fpga": (Gres("fpga", "u250", 1),)}
ASKED = {"cpu": [], "gpu": ["--gres=gpu:a100:1"], "fpga": ["--gres=fpga:u250:1"]}
INSIDE = '#!/bin/sh\necho "$SLURM_JOB_PARTITION ${SLURM_JOB_GPUS:-none}"\n'


@pytest.fixture(scope="module")
def sandbox(make_session_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_session_sandbox(Spec(parse_nodes("cpu=1,gpu:a100:2=1,fpga:u250=1"), controller=False))


@pytest.mark.parametrize(("first", "then"), [("cpu", "gpu"), ("gpu", "cpu"), ("gpu", "fpga")])
def test_a_move_is_made_and_runs_where_it_leads_or_is_known_to_be_closed(
    sandbox: Sandbox,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    first: str,
    then: str,
) -> None:
    adapter = CommandAdapter(slurm_conf=str(sandbox.layout.slurm_conf))
    moves = read_moves(adapter.read_cluster(), load_site(sandbox.layout.config))
    out = tmp_path / "out"
    job_id = sandbox.submit(INSIDE, "-H", "-t", "5", "-p", first, *ASKED[first], "-o", str(out))
    job = adapter.read_job(job_id).job
    way = moves.way(Holding(job.gres, job.gres_per_job), GRES[then], then)
    if not way.is_open:
        assert way.why
        record_property("lacks", way.why)
        then = first
    else:
        for update in steps(JobUpdate(then), way):
            adapter.update_job(job_id, update)
            assert differences(update, adapter.read_job(job_id).job) == []
    adapter.release(job_id)
    assert sandbox.wait_job(job_id)["JobState"] == "COMPLETED"
    where, gpu = out.read_text().split()
    assert where == then
    assert (gpu != "none") == (then == "gpu")
