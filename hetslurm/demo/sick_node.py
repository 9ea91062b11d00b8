"""The demo's second part: a GPU goes bad, work moves away, the node is drained, recovers, comes back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hetslurm.demo.run import play_round
from hetslurm.demo.scenario import Step, lands_on
from hetslurm.demo.table import event_row, row
from hetslurm.errors import SnapshotError
from hetslurm.gpu.fake import change_fake
from hetslurm.native.layout import name_hash
from hetslurm.sandbox import Sandbox
from hetslurm.snapshot import read_view, slot_array, unpack

NODE = "gpu1"
PATIENCE_S = 60.0

AWAY = (
    Step("align.sh", "one GPU is sick: takes the other", lands_on("gpu")),
    Step("align.sh", "that one is taken: the FPGA, not the sick GPU", lands_on("fpga")),
)
BACK = (
    Step("align.sh", "all is well again: takes a GPU", lands_on("gpu")),
    Step("align.sh", "takes the GPU that was sick", lands_on("gpu")),
)


def play_sick_node(
    sandbox: Sandbox, work: int, output_dir: Path, tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Rows (see `table`) of what became of the node and of the jobs meanwhile."""
    # Two beats until the controller has heard of it, and the cycles in which it judges and publishes that.
    within_s = 2 * (sandbox.state.spec.beat_s + sandbox.state.spec.cycle_s)

    tell(f"{NODE}'s GPU has 3 memory errors that ECC could not correct (injected into the pretended device)")
    change_fake(sandbox.layout.node(NODE) / "gpu.json", 0, ecc_uncorrected=3)
    took = _await(lambda: _gpus(sandbox) == 1.0)
    tell(f"  {_after(took)} the plugin counts on one GPU less: nothing was drained for that yet")
    yield event_row(f"placements avoid {NODE}", took, within_s=within_s)
    took = _await(lambda: "DRAIN" in _node(sandbox)["State"])
    tell(f"  {_after(took)} {NODE} is drained: {_node(sandbox).get('Reason', '?')}")
    for command in (["sinfo", "-R"], [sys.executable, "-P", "-m", "hetslurm", "nodes", "--sick"]):
        tell(f"$ {' '.join(command).removeprefix(f'{sys.executable} -P -m ')}")
        tell(sandbox.run(command, check=False).stdout.rstrip())
    yield event_row(f"{NODE} is drained", took, within_s=PATIENCE_S)
    for step, outcome in play_round(sandbox, AWAY, work, output_dir, tell):
        yield row(step, outcome, step.judge(outcome))

    tell(f"{NODE}'s GPU was exchanged: no errors")
    sandbox.heal(NODE)
    took = _await(lambda: "DRAIN" not in _node(sandbox)["State"])
    tell(f"  {_after(took)} it is given back, since nobody but hetslurm had drained it")
    yield event_row(f"{NODE} is given back", took, within_s=PATIENCE_S)
    took = _await(lambda: _gpus(sandbox) == 2.0)
    yield event_row(f"placements use {NODE} again", took, within_s=PATIENCE_S)
    for step, outcome in play_round(sandbox, BACK, work, output_dir, tell):
        yield row(step, outcome, step.judge(outcome))


def _await(holds: Callable[[], bool]) -> float | None:
    """Seconds until it holds; None when it never did."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if holds():
            return time.monotonic() - began
        time.sleep(0.05)
    return None


def _after(took: float | None) -> str:
    return "never:" if took is None else f"after {took:.1f} s"


def _gpus(sandbox: Sandbox) -> float:
    """GPUs that the plugin would place jobs on, by the newest snapshot."""
    try:
        pools = unpack(slot_array(read_view(sandbox.snapshot_path)))["pool"]
    except SnapshotError:
        return -1.0
    return float(pools["units"][pools["kind"] == name_hash("gpu")].sum())


def _node(sandbox: Sandbox) -> dict[str, str]:
    return sandbox.node(NODE)
