"""What the demo promises: which job goes where, and how that is judged. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hetslurm.slurm.record import Record


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one submitted script. Seconds; None: it never got so far."""

    accepted: bool
    message: str
    job_id: int | None = None
    partition: str = ""
    state: str = ""
    record: Record | None = None
    wait_s: float | None = None
    run_s: float | None = None
    output: str = ""


Judge = Callable[[Outcome], str | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One submission: a script, why it is here, and the judge of its outcome."""

    script: str
    shows: str
    judge: Judge


def lands_on(*kinds: str) -> Judge:
    """The job was placed on one of these kinds, ran there to its end, and knew where it was."""

    def judge(outcome: Outcome) -> str | None:
        if not outcome.accepted or outcome.record is None:
            return f"was not placed: {outcome.message or 'no record'}"
        if outcome.record.kind not in kinds:
            return f"went to {outcome.record.kind}, not to {' or '.join(kinds)}"
        if outcome.state != "COMPLETED":
            return f"ended as {outcome.state or 'nothing'}"
        if f"running on {outcome.record.kind}" not in outcome.output:
            return "did not find its placement in HET_KIND"
        return None

    return judge


def is_refused(*words: str) -> Judge:
    """The job was refused, and the message holds these words."""

    def judge(outcome: Outcome) -> str | None:
        if outcome.accepted:
            return "was accepted"
        missing = [word for word in words if word not in outcome.message]
        return f"was refused without saying {', '.join(missing)}" if missing else None

    return judge


def is_untouched(partition: str) -> Judge:
    """Stock Slurm's own choice: the default partition, no record, no HET_* variable."""

    def judge(outcome: Outcome) -> str | None:
        if not outcome.accepted or outcome.state != "COMPLETED":
            return f"ended as {outcome.state or 'refused'}"
        if outcome.record is not None or outcome.partition != partition:
            return f"was touched: it ran in {outcome.partition}"
        return None if "no directive: untouched" in outcome.output else "found HET_KIND set"

    return judge


ROUNDS: tuple[tuple[Step, ...], ...] = (
    (
        Step("align.sh", "takes a GPU: fastest there", lands_on("gpu")),
        Step("align.sh", "takes the other GPU", lands_on("gpu")),
        Step("align.sh", "GPUs are full: the FPGA finishes sooner", lands_on("fpga")),
        Step("align.sh", "FPGA is full too: the CPU finishes sooner", lands_on("cpu")),
        Step("plain.sh", "no #HET: untouched", is_untouched("cpu")),
        Step("mistake.sh", "a mistake: refused", is_refused("line 4", "cpsu", "cpus")),
    ),
    (
        Step("report.sh", "objective=cost: stays on the CPU", lands_on("cpu")),
        Step("urgent.sh", "the same, but the deadline rules the CPU out", lands_on("fpga", "gpu")),
        Step("pinned.sh", "its author named a partition", lands_on("fpga")),
    ),
)
