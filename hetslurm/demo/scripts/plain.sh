#!/bin/sh
#SBATCH --job-name=plain
#SBATCH --time=1
echo "no directive: ${HET_KIND:-untouched}, on $SLURMD_NODENAME"
exec "$HETSLURM_DEMO_PYTHON" "$HETSLURM_DEMO_SCRIPTS/work.py" "$((HETSLURM_DEMO_WORK / 10))"
