#!/bin/sh
#SBATCH --job-name=align
#HET app=align
#HET target=gpu:a100:1 cpus=2 mem=4G time=0:08
#HET target=fpga:u250:1 cpus=2 mem=4G time=0:10
#HET target=cpu cpus=8 mem=8G time=0:12
echo "running on $HET_KIND${HET_TYPE:+ ($HET_TYPE)}, target $HET_TARGET, pool $HET_POOL, on $SLURMD_NODENAME"
exec "$HETSLURM_DEMO_PYTHON" "$HETSLURM_DEMO_SCRIPTS/work.py" "$HETSLURM_DEMO_WORK"
