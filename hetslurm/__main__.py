"""`python -m hetslurm`: the same as the `hetslurm` command."""

from hetslurm.cli.app import main

main()
