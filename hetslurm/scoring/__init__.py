"""Which pool a job finishes best on, and why.

    Request + Asked ──resolve──▶ author, job, alternatives      native/resolve.c
    author × partitions ──admit──▶ reasons per pool             native/score_admit.pxi   twin: admission.py
    alternatives × pools ──score──▶ choice                      native/score_passes.pxi  twin: twin.py
    one alternative × one pool ──terms──▶ explain table         native/score_pair.pxi    twin: twin.py
                                            └──▶ Decision        explain.py
    pending jobs × pools ──rescore──▶ choices, and where they stand                      batch.py

The compiled kernel decides, here as inside slurmctld. The twin is its definition in NumPy; tests hold the two
to the same bits.
"""

from hetslurm.scoring.batch import Batch, Pending, Rescored
from hetslurm.scoring.explain import candidate_of, decide, explain

__all__ = ["Batch", "Pending", "Rescored", "candidate_of", "decide", "explain"]
