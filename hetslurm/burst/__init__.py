"""Cloud burst at work: what moves jobs, starts and ends instances, and keeps provider, Slurm and ledger alike."""
