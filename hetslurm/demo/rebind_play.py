"""`hetslurm demo --rebind`: one queue on one real Slurm, twice: placed at submit alone, and with moves."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hetslurm.controller.status import read_status
from hetslurm.demo.rebind_scene import (
    ADDED,
    DRAINED,
    HALF_WAY,
    JOBS,
    MAINTENANCE_S,
    SCRIPT,
    JobSeen,
    Played,
    spec_for,
)
from hetslurm.errors import SandboxError
from hetslurm.sandbox import Sandbox
from hetslurm.sandbox.client import FINAL_STATES, parse_fields
from hetslurm.sandbox.machine import slurm_version

PATIENCE_S = 300.0
POLL_S = 0.5
Tell = Callable[[str], None]


def play(tell: Tell, plugin_dir: Path | None = None) -> tuple[Played, Played]:
    """Both runs: rebinding off, then on. Raises SandboxError when Slurm cannot be had."""
    version = slurm_version()
    with tempfile.TemporaryDirectory(prefix="hetslurm-demo-") as folder:
        Path(folder).chmod(0o755)
        spec = spec_for(version)
        with Sandbox.create(Path(folder) / "s", spec, plugin_dir=plugin_dir, tell=tell) as sandbox:
            tell(f"Slurm {version[0]}.{version[1]:02}: {JOBS} jobs, each for cpu, gpu or fpga")
            off = play_once(sandbox, "off", Path(folder), tell)
            on = play_once(sandbox, "on", Path(folder), tell)
    return off, on


def play_once(sandbox: Sandbox, mode: str, folder: Path, tell: Tell) -> Played:
    """The queue once, from a cluster at rest."""
    set_mode(sandbox, mode)
    set_pool(sandbox, ADDED, up=False)
    set_pool(sandbox, DRAINED, up=True)
    groups = [group for group in spec_for(slurm_version()).groups if group.kind != ADDED]
    sandbox.waiting.for_nodes_idle(name for group in groups for name in group.node_names())
    _await_seen(sandbox)
    out = folder / mode
    out.mkdir()
    out.chmod(0o777)
    began = time.monotonic()
    ids = [sandbox.submit(SCRIPT, f"--output={out}/%j.out", "--chdir=/tmp") for _ in range(JOBS)]
    tell(f"rebinding {mode}: {JOBS} jobs submitted")
    _await(lambda: _ended(sandbox, ids) >= HALF_WAY, "half of the jobs to end")
    set_pool(sandbox, DRAINED, up=False)
    set_pool(sandbox, ADDED, up=True)
    gone = time.monotonic()
    tell(f"  {gone - began:4.0f} s: half are done; {DRAINED} is drained for maintenance, {ADDED} is there")
    _await(lambda: time.monotonic() - gone >= MAINTENANCE_S or _ended(sandbox, ids) == JOBS, "maintenance")
    set_pool(sandbox, DRAINED, up=True)
    tell(f"  {time.monotonic() - began:4.0f} s: {_ended(sandbox, ids)} are done; {DRAINED} is back")
    _await(lambda: _ended(sandbox, ids) == JOBS, "all jobs to end")
    played = Played(mode, tuple(_seen(sandbox, job_id, out) for job_id in ids))
    tell(
        f"  {played.makespan_s:4.0f} s: all are done; {played.moved} moves; ran in {json.dumps(played.where)}"
    )
    return played


def set_mode(sandbox: Sandbox, mode: str) -> None:
    """Change [rebind] of the running controller."""
    config = sandbox.layout.config
    text = config.read_text()
    other = "off" if mode == "on" else "on"
    config.write_text(text.replace(f'[rebind]\nmode = "{other}"', f'[rebind]\nmode = "{mode}"'))
    _await(lambda: _mode(sandbox) == mode, "the controller to read its configuration")


def set_pool(sandbox: Sandbox, partition: str, *, up: bool) -> None:
    """Drain all nodes of a partition, or bring them back."""
    names = sandbox.run(["sinfo", "-h", "-p", partition, "-o", "%N"]).stdout.strip()
    state = ["State=UNDRAIN"] if up else ["State=DRAIN", "Reason=maintenance"]
    sandbox.run(["scontrol", "update", f"NodeName={names}", *state])


def _mode(sandbox: Sandbox) -> str:
    status = read_status(sandbox.layout.controller_state) or {}
    return str((status.get("rebind") or {}).get("mode"))


def _await_seen(sandbox: Sandbox) -> None:
    """A snapshot of how things are now, so that the plugin knows."""
    sandbox.waiting.for_snapshot(after=sandbox.waiting.for_snapshot() + 1)


def _ended(sandbox: Sandbox, ids: list[int]) -> int:
    mine = set(ids)
    text = sandbox.run(["squeue", "-h", "-t", "all", "-o", "%A %T"]).stdout
    pairs = (line.split() for line in text.splitlines())
    return sum(int(job_id) in mine and state in FINAL_STATES for job_id, state in pairs)


def _seen(sandbox: Sandbox, job_id: int, folder: Path) -> JobSeen:
    line = sandbox.run(["scontrol", "show", "job", "-o", str(job_id)]).stdout.splitlines()[0]
    job = parse_fields(line)
    output = folder / f"{job_id}.out"
    return JobSeen(
        job_id=job_id,
        state=job["JobState"],
        partition=job["Partition"],
        record=job.get("AdminComment", ""),
        submit_at=_seconds(job["SubmitTime"]),
        start_at=_seconds(job["StartTime"]),
        end_at=_seconds(job["EndTime"]),
        said=output.read_text() if output.exists() else "",
    )


def _seconds(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def _await(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        if time.monotonic() > deadline:
            raise SandboxError(f"waited {PATIENCE_S:g} s in vain for {what}")
        time.sleep(POLL_S)
