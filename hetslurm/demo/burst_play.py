"""The demo's third part: a full pool, jobs that burst, an interruption, the budget's end, and zero again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.provider.local.faults import change_faults, give_notice
from hetslurm.demo.burst_close import CHECKS, all_paid, look_back, money_of, nothing_runs
from hetslurm.demo.burst_scene import INTERRUPTED, NOTICE_S, OVERFLOW, POOR, PRICES, TOLD, goes_on
from hetslurm.demo.run import SCRIPTS, outcome_of, submit, wait
from hetslurm.demo.scenario import Step
from hetslurm.demo.table import event_row, fact_row, row
from hetslurm.sandbox import Sandbox
from hetslurm.slurm.record import Record, parse_record

PATIENCE_S = 90.0
POLL_S = 0.25
Tell = Callable[[str], None]


def set_prices(sandbox: Sandbox) -> None:
    """What the pretended cloud asks for its instances."""
    path = sandbox.layout.cloud / "faults.json"
    change_faults(path, lambda faults: replace(faults, prices=dict(PRICES)))


def play_burst(sandbox: Sandbox, work: int, output_dir: Path, tell: Tell) -> Iterator[dict[str, Any]]:
    """Rows (see `table`) of the jobs, and of what must have happened beside them."""
    tell("The cpu partition fills up, for half an hour by its job's time limit; what may burst arrives:")
    filler = sandbox.submit(SCRIPTS / "fill.sh", "-o", "/dev/null")
    took = _await(lambda: sandbox.job(filler)["JobState"] == "RUNNING")
    yield event_row("the cpu partition is full", took, within_s=PATIENCE_S)
    # The plugin is to know that it is full.
    sandbox.waiting.for_snapshot(after=sandbox.waiting.for_snapshot() + 1)
    jobs = [(step, *submit(sandbox, step, work, output_dir, tell)) for step in (INTERRUPTED, OVERFLOW, POOR)]
    ids = [job_id for _, job_id, _ in jobs if job_id is not None]
    if len(ids) == len(jobs):
        yield from _follow(sandbox, ids, output_dir / f"{ids[0]}.out", tell)
    wait(sandbox, ids, tell)
    took = _await(lambda: _is_over(sandbox))
    tell(f"  {_after(took)} everything has scaled to zero")
    sandbox.run(["scancel", str(filler)], check=False)
    yield event_row("scales to zero", took, within_s=PATIENCE_S)
    yield from _close(sandbox, jobs, output_dir, tell)


def _follow(sandbox: Sandbox, ids: list[int], said: Path, tell: Tell) -> Iterator[dict[str, Any]]:
    """Two leave, the third is told, the first is interrupted."""
    took = _await(lambda: all(_record(sandbox, job_id).res is not None for job_id in ids[:2]))
    tell(f"  {_after(took)} two have money set aside and a node each, and leave for the cloud")
    yield event_row("two jobs leave for the cloud", took, within_s=PATIENCE_S)
    took = _await(lambda: TOLD in _record(sandbox, ids[2]).why)
    tell(f"  {_after(took)} job {ids[2]} {_record(sandbox, ids[2]).why or 'was told nothing'}")
    yield event_row("the third is told that the budget is used up", took, within_s=PATIENCE_S)
    yield fact_row("hetslurm burst plan", show_command(sandbox, ["burst", "plan"], tell))
    took = _await(lambda: said.exists() and "begins at step" in said.read_text())
    tell(f"  {_after(took)} job {ids[0]} runs")
    if took is not None:
        yield from _interrupt(sandbox, ids[0], said, tell)


def _interrupt(sandbox: Sandbox, job_id: int, said: Path, tell: Tell) -> Iterator[dict[str, Any]]:
    node = sandbox.job(job_id).get("NodeList", "")
    with Book.reader(Book.path_in(sandbox.layout.controller_state)) as book:
        instance = book.instance_of(node)
    if instance is None:
        yield fact_row("an instance is taken away", f"the ledger has no instance of {node or 'no node'}")
        return
    tell(f"the cloud says that it takes {instance.instance_id} ({node}) away in {NOTICE_S:g} s")
    give_notice(sandbox.layout.cloud / "instances" / instance.instance_id, time.time() + NOTICE_S)
    took = _await(lambda: "saved at step" in said.read_text())
    tell(f"  {_after(took)} its job has its checkpoint signal, and has saved")
    yield event_row("the job gets its checkpoint signal", took, within_s=NOTICE_S)
    took = _await(lambda: sandbox.job(job_id).get("Restarts", "0") != "0")
    tell(f"  {_after(took)} it is requeued, with what is left of its money")
    yield event_row("the job is requeued before its instance goes", took, within_s=NOTICE_S)
    took = _await(lambda: said.read_text().count("begins at step") > 1)
    tell(f"  {_after(took)} it goes on, on an instance of its own")
    yield fact_row("it goes on where it had saved", goes_on(said.read_text()))


def _close(
    sandbox: Sandbox, jobs: list[tuple[Step, int | None, str]], output_dir: Path, tell: Tell
) -> Iterator[dict[str, Any]]:
    """The jobs with their money, what must be so at the end, and what an admin would look at."""
    found = look_back(sandbox)
    for step, job_id, message in jobs:
        outcome = outcome_of(sandbox, job_id, message, output_dir)
        yield {**row(step, outcome, step.judge(outcome)), "money": money_of(found, job_id)}
    for shows, check in CHECKS:
        yield fact_row(shows, check(found))
    burst = next((str(job_id) for _, job_id, _ in jobs if job_id is not None), "")
    yield fact_row("hetslurm explain: a job that burst", show_command(sandbox, ["explain", burst], tell))
    for words in (["budget", "show"], ["budget", "verify"]):
        yield fact_row(f"hetslurm {' '.join(words)}", show_command(sandbox, words, tell))


def show_command(sandbox: Sandbox, words: list[str], tell: Tell) -> str | None:
    """Run one of our commands where people see it; what went wrong, or None."""
    tell(f"$ hetslurm {' '.join(words)}")
    done = sandbox.run([sys.executable, "-P", "-m", "hetslurm", *words], check=False)
    tell(done.stdout.rstrip() or done.stderr.rstrip())
    return f"exit code {done.returncode}" if done.returncode else None


def _is_over(sandbox: Sandbox) -> bool:
    found = look_back(sandbox)
    return nothing_runs(found) is None and all_paid(found) is None


def _record(sandbox: Sandbox, job_id: int) -> Record:
    return parse_record(sandbox.job(job_id).get("AdminComment", "")) or Record(hetslurm=1, state="")


def _await(holds: Callable[[], bool]) -> float | None:
    """Seconds until it holds; None when it never did."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if holds():
            return time.monotonic() - began
        time.sleep(POLL_S)
    return None


def _after(took: float | None) -> str:
    return "never:" if took is None else f"after {took:.1f} s"
