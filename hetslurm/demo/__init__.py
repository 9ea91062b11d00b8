"""`hetslurm demo`: a real Slurm on this machine, a few real jobs, and proof of where each went and why."""
