"""What the demo's third part promises: who bursts, what it may cost, and how that is judged. No I/O."""

from __future__ import annotations

import re

from hetslurm.demo.scenario import Judge, Outcome, Step
from hetslurm.sandbox import CloudGroup
from hetslurm.units import MICRO

CURRENCY = "EUR"
PARTITION = "cloud"
TOLD = "waits for a cloud instance: cap of the site, in total"
# An hour: dear ones, so that a demo of two minutes costs something.
PRICES = {"spot": 14 * MICRO, "on-demand": 30 * MICRO}
CLOUD = (
    CloudGroup(3, PARTITION, max_price="36", boot_s=1.0, boot_timeout_s=60.0, idle_s=4.0, zones=("a", "b")),
)
# A job of a minute reserves 2 x 1.37: two may go, a third may not until one of them is over and paid.
CAP = 6
POLICY = f"""\
[spill]
min_wait_s = 60

[[cap]]
level = "site"
per = "total"
limit = {CAP}

[[cap]]
level = "account"
name = "*"
per = "day"
limit = 100

[retry]
requeues = 1
grace_s = 3
guard_s = 5
"""
# What a provider gives before it takes an instance away. EC2 gives two minutes.
NOTICE_S = 16.0


def runs_in_the_cloud(*, on: int = 1, words: tuple[str, ...] = ()) -> Judge:
    """It ended well on cloud nodes, with money of its own, was begun so often, and said these words."""

    def judge(outcome: Outcome) -> str | None:
        if not outcome.accepted or outcome.record is None:
            return f"was not placed: {outcome.message or 'no record'}"
        if outcome.partition != PARTITION:
            return f"never left {outcome.partition}"
        if outcome.state != "COMPLETED":
            return f"ended as {outcome.state or 'nothing'}"
        nodes = re.findall(rf"running on cpu, target cpu, pool {PARTITION}, on (\S+)", outcome.output)
        if len(nodes) != on:
            return f"began {len(nodes)} times with its placement in HET_*, not {on}"
        missing = [word for word in words if word not in outcome.output]
        return f"did not say {missing[0]}" if missing else None

    return judge


INTERRUPTED = Step(
    "checkpoint.sh",
    "pool full: bursts; is interrupted, goes on elsewhere",
    runs_in_the_cloud(on=2, words=("saved at step", "done at step 60")),
)
OVERFLOW = Step("overflow.sh", "pool full: bursts", runs_in_the_cloud())
POOR = Step("only.sh", "no budget: told so; goes when money comes back", runs_in_the_cloud())


def goes_on(output: str) -> str | None:
    """Whether the second run began where the first one had saved; what is wrong, or None."""
    saved, begun = re.findall(r"saved at step (\d+)", output), re.findall(r"begins at step (\d+)", output)
    if len(saved) != 1 or len(begun) != 2:
        return f"saved {len(saved)} times and began {len(begun)} times"
    return None if begun == ["0", saved[0]] else f"began again at step {begun[1]}, not at {saved[0]}"
