"""What every daemon of hetslurm has: log lines, signals, and the service manager."""
