"""One probe, here and now, in a child with the deadline that it would have in the agent."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from select import select

from hetslurm.agent.child import Opener
from hetslurm.agent.frames import Task
from hetslurm.agent.nursery import Nursery
from hetslurm.agent.observed import merge, remember
from hetslurm.agent.probes import OPENERS
from hetslurm.agent.runner import Run, Runner
from hetslurm.agent.watch import measure_deadline_s
from hetslurm.clock import Clock
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState


def run_probe(
    probe: str,
    agent: AgentSite,
    *,
    clock: Clock,
    measure: bool = False,
    openers: Mapping[str, Opener] = OPENERS,
) -> Run:
    """A sample; with `measure` also what work shows: then state and message are the benchmark's."""
    with ExitStack() as stack:
        nursery = stack.enter_context(Nursery(openers))
        runner = Runner(probe, agent, nursery, clock)
        stack.callback(runner.stop)
        sampled = _run(runner, "sample", agent.deadline_s, nursery, clock)
        if not measure or sampled.sample.state is not ProbeState.OK:
            return sampled
        rows = sampled.sample.rows
        measured = _run(runner, "measure", measure_deadline_s(agent, len(rows)), nursery, clock)
        merged = merge(rows, remember({}, measured, rows), measured.asked_at)
        return replace(measured, sample=replace(measured.sample, rows=merged))


def _run(runner: Runner, task: Task, deadline_s: float, nursery: Nursery, clock: Clock) -> Run:
    runner.ask(task, deadline_s)
    while True:
        lines = [line for line in (runner.line, nursery) if line is not None]
        select(lines, [], [], max(0.0, (runner.due_at() or 0.0) - clock.monotonic()))
        if run := runner.hear():
            return run
        for ended in nursery.take():
            if ended.child == runner.child and (run := runner.gone(ended.how)):
                return run
        if run := runner.overdue():
            return run
