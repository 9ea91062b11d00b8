#!/bin/sh
#SBATCH --job-name=only
#HET app=overflow preemptible=yes burst=only
#HET target=cpu cpus=16 mem=8G time=1
echo "running on $HET_KIND, target $HET_TARGET, pool $HET_POOL, on $SLURMD_NODENAME"
exec "$HETSLURM_DEMO_PYTHON" "$HETSLURM_DEMO_SCRIPTS/work.py" "$((HETSLURM_DEMO_WORK / 10))"
