"""Play the demo's rounds on a running sandbox and measure what became of each job."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hetslurm.demo.scenario import Outcome, Step
from hetslurm.sandbox import Sandbox
from hetslurm.slurm.record import parse_record

SCRIPTS = Path(__file__).with_name("scripts")
CPU_SECONDS = 6.0
SAMPLE = 200
# The pretended nodes share this machine.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
DONE = frozenset(
    {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}
)
ROUND_TIMEOUT_S = 180.0


def work_of(seconds: float) -> int:
    """How much of the workload one core does in so many seconds, measured by the jobs' own script."""
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "work.py"), str(SAMPLE), "--measure"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **ONE_THREAD},
    )
    return max(10, round(SAMPLE / float(done.stdout) * seconds))


def job_environment(work: int, folder: Path) -> dict[str, str]:
    """What the demo's scripts need; what they keep goes into `folder`."""
    return {
        "HETSLURM_DEMO_FOLDER": str(folder),
        "HETSLURM_DEMO_PYTHON": sys.executable,
        "HETSLURM_DEMO_SCRIPTS": str(SCRIPTS),
        "HETSLURM_DEMO_WORK": str(work),
        **ONE_THREAD,
    }


def play_round(
    sandbox: Sandbox, steps: tuple[Step, ...], work: int, output_dir: Path, tell: Callable[[str], None]
) -> Iterator[tuple[Step, Outcome]]:
    """Submit every step's script in order, wait for all of them, and yield what became of each."""
    submitted = [(step, submit(sandbox, step, work, output_dir, tell)) for step in steps]
    wait(sandbox, [job_id for _, (job_id, _) in submitted if job_id is not None], tell)
    for step, (job_id, message) in submitted:
        yield step, outcome_of(sandbox, job_id, message, output_dir)


def submit(
    sandbox: Sandbox, step: Step, work: int, output_dir: Path, tell: Callable[[str], None]
) -> tuple[int | None, str]:
    """Submit a step's script: the job's id (None: refused), and what sbatch said."""
    tell(f"$ sbatch {step.script}    # {step.shows}")
    done: subprocess.CompletedProcess[str] = sandbox.run(
        ["sbatch", "--parsable", f"--output={output_dir}/%j.out", str(SCRIPTS / step.script)],
        check=False,
        env=job_environment(work, output_dir),
    )
    message = " ".join(re.sub(r"(?m)^sbatch: (error: )?", "", done.stderr).split())
    if message:
        tell(f"  {message}")
    return (int(done.stdout.split(";")[0]) if done.returncode == 0 else None), message


def wait(sandbox: Sandbox, job_ids: list[int], tell: Callable[[str], None]) -> None:
    """Until all are over, or ROUND_TIMEOUT_S."""
    deadline = time.monotonic() + ROUND_TIMEOUT_S
    waiting = set(job_ids)
    while waiting and time.monotonic() < deadline:
        finished = {job_id for job_id in waiting if sandbox.job(job_id)["JobState"] in DONE}
        for job_id in sorted(finished):
            tell(f"  job {job_id} ended; {len(waiting) - len(finished)} to go")
        waiting -= finished
        time.sleep(0.5)


def outcome_of(sandbox: Sandbox, job_id: int | None, message: str, output_dir: Path) -> Outcome:
    """What became of a submission, as Slurm and the job's output say; a job_id of None was refused."""
    if job_id is None:
        return Outcome(accepted=False, message=message)
    job = sandbox.job(job_id)
    output = output_dir / f"{job_id}.out"
    submitted, started, ended = (_seconds(job.get(key, "")) for key in ("SubmitTime", "StartTime", "EndTime"))
    return Outcome(
        accepted=True,
        message=message,
        job_id=job_id,
        partition=job["Partition"],
        state=job["JobState"],
        record=parse_record(job.get("AdminComment", "")),
        wait_s=None if submitted is None or started is None else started - submitted,
        run_s=None if started is None or ended is None else ended - started,
        output=output.read_text() if os.path.exists(output) else "",
    )


def _seconds(text: str) -> float | None:
    """Slurm's local time of a job's event as Unix seconds; None for Unknown."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
