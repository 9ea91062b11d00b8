#!/bin/sh
#SBATCH --job-name=checkpoint --open-mode=append
#HET app=checkpoint preemptible=yes burst=allow
#HET target=cpu cpus=16 mem=8G time=1
echo "running on $HET_KIND, target $HET_TARGET, pool $HET_POOL, on $SLURMD_NODENAME"
saved="$HETSLURM_DEMO_FOLDER/$SLURM_JOB_ID.step"
told=
trap 'told=yes' USR1 # burst.toml's checkpoint_signal
step=$(cat "$saved" 2>/dev/null || echo 0)
echo "begins at step $step of 60"
while [ "$step" -lt 60 ] && [ -z "$told" ]; do
	sleep 0.25
	step=$((step + 1))
done
if [ -n "$told" ]; then
	echo "$step" >"$saved"
	echo "saved at step $step"
	# Ending now would be the end of the job: it waits to be run again.
	while :; do sleep 0.25; done
fi
echo "done at step $step"
