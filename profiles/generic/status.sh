#!/bin/sh
# status.sh JOB: prints `running`, `success` or `failed` for a Slurm job. A controller that does not answer has lost no job.
said=$(squeue --noheader --states=all --format=%T --jobs="$1" 2>&1) || case $said in
    *"Invalid job id"*) said=$(sacct --noheader --parsable2 --allocations --format=State --jobs="$1" 2>/dev/null) ;;
    *) said=UNKNOWN ;;
esac
case $said in
    COMPLETED) echo success ;;
    PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUE* | UNKNOWN) echo running ;;
    *) echo failed ;; # the failed states, and a job that nobody remembers
esac
