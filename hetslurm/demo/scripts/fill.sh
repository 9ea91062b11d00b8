#!/bin/sh
#SBATCH --job-name=fill
#SBATCH --nodes=4 --ntasks-per-node=1 --exclusive --time=30
exec sleep 1800
