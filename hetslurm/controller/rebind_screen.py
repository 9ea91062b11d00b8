"""All pending jobs scored in one batch: those that could be better off elsewhere are worth a closer look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hetslurm.controller.cycle import RecordedJob
from hetslurm.controller.rebind_look import Look
from hetslurm.job import Request
from hetslurm.placement import Asked
from hetslurm.scoring import Batch, Pending

NOWHERE_BETTER = "no placement is better"


class Screen:
    """One a controller: what it has resolved is kept from cycle to cycle."""

    def __init__(self) -> None:
        self._batch = Batch()

    def sift(self, look: Look, jobs: Sequence[RecordedJob]) -> list[RecordedJob]:
        """The jobs that the kernel would have elsewhere, or that something keeps from where they are.

        Of the others, `look.skipped` counts why.
        """
        asked_for: dict[object, RecordedJob] = {}
        pending: list[Pending] = []
        for one in jobs:
            if (job := look.pending(one)) is not None:
                asked_for[job.key] = one
                pending.append(job)

        def read(key: object) -> tuple[Request, Asked] | None:
            return look.wanted(asked_for[key])

        scored = self._batch.rescore(look.view, pending, read, look.now)
        best, now = scored.choices, scored.now
        better = (best["pool"] >= 0) & (best["terms"]["score"] < now["score"])
        worth = better | (now["reasons"] != 0)
        look.skipped[NOWHERE_BETTER] += len(pending) - int(np.count_nonzero(worth))
        return [asked_for[job.key] for job, looks in zip(pending, worth, strict=True) if looks]
