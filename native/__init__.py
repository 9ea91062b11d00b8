"""The compiled parts: the directive parser and the scoring kernel, each shared with the Slurm plugin."""
