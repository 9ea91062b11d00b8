"""Cloud burst at work: moves jobs, starts and ends instances, keeps provider, Slurm and ledger alike."""
