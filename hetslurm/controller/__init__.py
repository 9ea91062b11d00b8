"""The daemon beside slurmctld: reads Slurm, writes the snapshot, places held jobs, keeps the decisions.

cycle.py      pure: Cluster + Site -> pools with waits, held jobs in order
placer.py     held jobs in order: decide, bind, read back, release
binding.py asked.py    pure: what changes in a job for a decision; what its author had fixed
loop.py       the daemon: cycle after cycle, through faults, until told to stop
decisions.py  what was decided for each job, for `hetslurm explain`; notes.py fills it
audit.py status.py log.py notify.py lock.py stop.py    the edges to files, systemd and signals
"""
