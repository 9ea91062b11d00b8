"""What the scenes share: the same jobs at the same times on two real Slurms that differ in a switch."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hetslurm.sandbox import Sandbox, Spec
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.durations import parse_instant

# Nothing else may move or learn while one switch is compared.
ALONE = '[history]\nsource = "off"\n[rebind]\nmode = "off"\n'
LONGEST_S = 150.0


@dataclass(frozen=True, slots=True)
class Step:
    """A job to be: submitted `at` seconds after the start, told apart by `name`."""

    at: float
    name: str
    script: str


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of it. Seconds since the start of the scene; Slurm counts whole ones."""

    name: str
    job_id: int
    submitted_s: float
    started_s: float
    ended_s: float
    partition: str

    @property
    def completion_s(self) -> float:
        """From submit to end."""
        return self.ended_s - self.submitted_s

    def slowdown(self, bound_s: float) -> float:
        """Bounded slowdown: max(1, completion / max(bound, run))."""
        return max(1.0, self.completion_s / max(bound_s, self.ended_s - self.started_s))


@contextmanager
def sandbox(spec: Spec) -> Iterator[Sandbox]:
    """A Slurm with its state on tmpfs, gone afterwards."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-scene-", dir=base) as folder:
        Path(folder).chmod(0o755)
        with Sandbox.create(Path(folder) / "s", spec) as running:
            yield running


def play(slurm: Sandbox, steps: Sequence[Step], watch: Callable[[Sandbox], None] | None = None) -> list[Ran]:
    """Submit every step in its time and wait until all are over; `watch` is called meanwhile."""
    start, ids, submitted = time.time(), [], []
    for step in steps:
        _until(start + step.at, slurm, watch)
        submitted.append(time.time() - start)
        ids.append(slurm.submit(step.script, f"--job-name={step.name}", "--output=/dev/null", "--mem=10M"))
    adapter = CommandAdapter(slurm_conf=str(slurm.layout.slurm_conf))
    deadline = time.monotonic() + LONGEST_S
    while any(job.state in {"PENDING", "RUNNING", "COMPLETING"} for job in adapter.read_cluster().jobs):
        if time.monotonic() > deadline:
            raise SystemExit(f"the jobs are not over {LONGEST_S:.0f} s after the last was submitted")
        _until(time.time() + 0.5, slurm, watch)
    ran = []
    for step, job_id, at in zip(steps, ids, submitted, strict=True):
        job = slurm.run(
            ["scontrol", "show", "job", "-o", str(job_id)], env={"SLURM_TIME_FORMAT": "%s"}
        ).stdout
        fields = dict(word.partition("=")[::2] for word in job.split())
        if fields["JobState"] != "COMPLETED":
            raise SystemExit(f"job {job_id} ({step.name}) is {fields['JobState']}: {fields.get('Reason')}")
        times = [(parse_instant(fields[key]) or start) - start for key in ("StartTime", "EndTime")]
        ran.append(Ran(step.name, job_id, at, times[0], times[1], fields["Partition"]))
    return ran


def _until(when: float, slurm: Sandbox, watch: Callable[[Sandbox], None] | None) -> None:
    while (left := when - time.time()) > 0:
        if watch is not None:
            watch(slurm)
            left = when - time.time()
        time.sleep(max(0.0, min(left, 0.5)))


def side_by_side(plays: Mapping[str, Callable[[], None]]) -> None:
    """Run the plays at once, a thread each; the first failure is raised when all are over."""
    failures: list[BaseException] = []

    def guarded(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # raised again below, in the main thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(one,), name=name) for name, one in plays.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
