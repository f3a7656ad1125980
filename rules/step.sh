#!/bin/sh
# step.sh COMMAND...: a pretraining command as a step of its own within a Slurm job. Where processes are tracked by
# cgroups, Slurm's SIGTERM (time nearly up, preemption, scancel) reaches the first process of a step and nobody below
# it, which without this would be Snakemake.
#
# A command that wrote a checkpoint and ended at SIGTERM (status 143) has its job queued again, with a whole time limit
# and under its own number; not a cancelled job, which runs no longer, and not a job that gets nowhere.
trap '' TERM # what tracks processes otherwise sends it here too
srun --overlap --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --cpu-bind=none "$@"
status=$?
state() { squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T; }
if [ "$status" -eq 143 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ] && [ "$(state)" = RUNNING ]; then
    scontrol requeue "$SLURM_JOB_ID" && sleep 600 # until Slurm has ended this job to queue it
fi
exit "$status"
