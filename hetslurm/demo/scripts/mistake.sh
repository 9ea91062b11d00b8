#!/bin/sh
#SBATCH --job-name=mistake
#HET app=align
#HET target=gpu:a100:1 cpsu=8 time=0:08
#HET target=cpu cpus=8 time=0:12
echo "this must never run"
