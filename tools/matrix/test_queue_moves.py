"""The queue that moves when pools change, and how much sooner it is done: minutes, for the matrix alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

PROMISED_RATIO = 1.5
JOBS = 60


def test_a_queue_is_done_much_sooner_with_moves_than_with_placement_at_submit_alone(
    record_property: Callable[[str, Any], None],
) -> None:
    """60 jobs with three targets, one pool drained and one added half-way; the same real Slurm twice."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hetslurm", "demo", "--rebind", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    off, on = result["off"], result["on"]
    ratio = off["makespan_s"] / on["makespan_s"]
    record_property(
        "found", f"{ratio:.1f} × ({off['makespan_s']:.0f} s without moves, {on['makespan_s']:.0f} s with)"
    )
    assert ratio >= PROMISED_RATIO, result
    assert done.returncode == 0, result["broken_promise"]
    assert (off["jobs"], on["jobs"]) == (JOBS, JOBS)
    assert off["moves"] == 0 < on["moves"]
    assert "fpga" not in off["ran_in"]  # it comes after all were placed
    assert on["ran_in"].keys() == {"cpu", "gpu", "fpga"}
