"""Waiting for the sandbox's daemons, with an eye on their deaths."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hetslurm.bus.board_view import NodeView, read_board_file
from hetslurm.errors import BusError, SandboxError, SnapshotError
from hetslurm.snapshot import header_of, read_view, slot_array
from hetslurm.telemetry import ProbeState

if TYPE_CHECKING:
    from hetslurm.sandbox.sandbox import Sandbox

PATIENCE_S = 60.0


class Waiting:
    """Each method returns when its event has come; SandboxError when the daemon died or took too long."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def until(
        self,
        what: str,
        test: Callable[[], bool],
        *,
        daemons: Iterable[str] = (),
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Poll `test` until it holds or one of the daemons that it takes has died."""
        needed = [(name, self._sandbox.state.processes[name]) for name in daemons]
        deadline = time.monotonic() + patience_s
        while not test():
            if dead := [name for name, process in needed if not process.alive()]:
                raise SandboxError(f"{', '.join(dead)} ended while waiting for {what}")
            if time.monotonic() > deadline:
                raise SandboxError(f"{what}: did not happen within {patience_s:.0f} s")
            time.sleep(0.05)

    def for_path(self, daemon: str, path: Path) -> None:
        """The daemon has made its socket."""
        self.until(f"{path.name} of {daemon}", path.exists, daemons=[daemon])

    def for_answer(self, daemon: str, argv: list[str], needs: str = "") -> None:
        """A command against the daemon succeeds, and its output holds `needs`."""

        def answers() -> bool:
            try:
                done = self._sandbox.run(argv, check=False, timeout_s=5)
            except subprocess.TimeoutExpired:
                return False
            return done.returncode == 0 and needs in done.stdout

        self.until(f"an answer to `{' '.join(argv)}`", answers, daemons=[daemon])

    def for_nodes_idle(self, nodes: Iterable[str]) -> None:
        """Every node has registered and is idle."""
        wanted = sorted(nodes)

        def idle() -> bool:
            done = self._sandbox.run(["sinfo", "-h", "-N", "-o", "%N %T"], check=False)
            found = {tuple(line.split()) for line in done.stdout.splitlines()}
            return {(name, "idle") for name in wanted} <= found

        self.until("idle nodes", idle, daemons=["slurmctld", *(f"slurmd-{name}" for name in wanted)])

    def for_reports(self, nodes: Iterable[str]) -> None:
        """The controller has heard every node's agent, each probe of it included."""
        wanted = set(nodes)

        def heard() -> bool:
            try:
                board = read_board_file(self._sandbox.layout.board)
            except BusError:
                return False
            return wanted <= {node.name for node in board if node.heard and _has_run(node)}

        self.until(
            "reports of all nodes", heard, daemons=["controller", *(f"agent-{name}" for name in nodes)]
        )

    def for_snapshot(self, after: int = 0, patience_s: float = PATIENCE_S) -> int:
        """The controller has published a generation past `after`; that generation."""
        seen = 0

        def published() -> bool:
            nonlocal seen
            try:
                slot = slot_array(read_view(self._sandbox.snapshot_path))
            except SnapshotError:
                return False
            seen = int(header_of(slot)["generation"])
            return seen > after

        self.until("a snapshot", published, daemons=["controller"], patience_s=patience_s)
        return seen


def _has_run(node: NodeView) -> bool:
    return all(probe.state is not ProbeState.PENDING for probe in node.probes.values())
