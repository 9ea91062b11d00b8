"""hetslurm: one job, several kinds of device, placed by a compiled kernel inside stock Slurm."""

__version__ = "0.1.0"
