"""A launch that is killed in the middle: `crash_child.py FOLDER STEP`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.provider.local.folder import Folder, LocalOrder
from hetslurm.cloudburst.provider.local.provider import LocalProvider
from hetslurm.cloudburst.provider.local.settings import LocalSettings
from hetslurm.cloudburst.provider.protocol import Order

STEPS = ("before its claim", "before its order", "before its start", "after its start")


def die_at(step: str, here: str) -> None:
    """End this process, without a word, where that was asked for."""
    if step == here:
        os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, step: str) -> None:
    """Launch cloud1, and die at the step."""
    claim, write_order = Folder.claim, Folder.write_order

    def dying_claim(self: Folder) -> int | None:
        die_at(step, "before its claim")
        return claim(self)

    def dying_write(self: Folder, order: LocalOrder) -> None:
        die_at(step, "before its order")
        write_order(self, order)
        die_at(step, "before its start")

    Folder.claim, Folder.write_order = dying_claim, dying_write  # type: ignore[method-assign]
    pool = CloudPool("cloud", "here", "small", (Purchase.SPOT,), 1_000_000)
    order = Order("cloud1", 1, "c-cloud1-1", pool, Purchase.SPOT, "", 1_000_000, time.time() + 600)
    LocalProvider(LocalSettings(Path(folder), start_command=("sleep", "600"))).launch([order])
    die_at(step, "after its start")


if __name__ == "__main__":
    main(*sys.argv[1:])
