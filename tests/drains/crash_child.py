"""A controller that is killed in the middle of one act: `crash_child.py SLURM_CONF STATE_DIR ACT STEP`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hetslurm.clock import SystemClock
from hetslurm.cluster import Node
from hetslurm.controller.drain_acts import DrainActs
from hetslurm.controller.drain_ledger import DrainLedger
from hetslurm.health.drain_scene import Drain
from hetslurm.slurm.commands import CommandAdapter


class Dying(CommandAdapter):
    """Ends this process, without a word, before the n-th command that looks at or changes a node."""

    left = 0

    def _step(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def read_node(self, name: str) -> Node:
        """See SlurmAdapter."""
        self._step()
        return super().read_node(name)

    def drain_node(self, name: str, reason: str) -> None:
        """See SlurmAdapter."""
        self._step()
        super().drain_node(name, reason)

    def resume_node(self, name: str) -> None:
        """See SlurmAdapter."""
        self._step()
        super().resume_node(name)


def main(slurm_conf: str, state_dir: str, act: str, step: str) -> None:
    """Drain cpu1, or take its drain back, and die before the given step."""
    Dying.left = int(step)
    ledger = DrainLedger(Path(state_dir))
    acts = DrainActs(Dying(slurm_conf=slurm_conf), ledger, SystemClock())
    if act == "drain":
        acts.drain(Drain("cpu1", "gpu 0: bad", frozenset({"gpu/0/ecc"})))
    else:
        acts.undrain(ledger.entries()[0], "well again")


if __name__ == "__main__":
    main(*sys.argv[1:])
