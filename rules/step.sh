#!/bin/sh
# step.sh COMMAND...: a pretraining command as a step of its own within a Slurm job. Where processes are tracked by
# cgroups, Slurm's SIGTERM (time nearly up, preemption, scancel) reaches the first process of a step and nobody below
# it, which without this would be Snakemake.
#
# A command that ended at SIGTERM (status 143), as a rule with a checkpoint, has its job queued again, with a whole time
# limit and under its own number; not a cancelled job, which runs no longer, and not a job that gets nowhere.
trap '' TERM # what tracks processes otherwise sends it here too
srun --overlap --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --cpu-bind=none "$@"
status=$?

job=$SLURM_JOB_ID # of an array's last task, the array's own
[ -z "${SLURM_ARRAY_JOB_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
queue_again() { # Slurm is asked how often it was, since a step of the plugin's does not see SLURM_RESTART_COUNT
    for _ in 1 2 3 4 5; do
        said=$(squeue --noheader --jobs="$job" --Format=State:30,RestartCnt:10) && break
        said=
        sleep "${STEP_PAUSE:-5}"
    done
    # shellcheck disable=SC2086  # two words
    set -- $said
    [ "$#" -eq 2 ] && [ "$1" = RUNNING ] && [ "$2" -lt 20 ] && scontrol requeue "$job"
}
if [ "$status" -eq 143 ] && queue_again; then
    sleep "${STEP_PATIENCE:-600}" # until Slurm has ended this job to queue it
fi
exit "$status"
