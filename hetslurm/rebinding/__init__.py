"""When a pending job should move, and whether its Slurm can move it. Pure."""
