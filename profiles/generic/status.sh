#!/bin/sh
# status.sh JOB: prints `running`, `success` or `failed` for a Slurm job. A controller that does not answer has lost no job.
said=$(LC_ALL=C squeue --noheader --states=all --format=%T --jobs="$1" 2>&1) || case $said in
    *"Invalid job id"*) said= ;;
    *) said=UNKNOWN ;;
esac
said=$(printf '%s\n' "$said" | tail -n 1) # warnings stand before it
[ -n "$said" ] || said=$(sacct --noheader --parsable2 --allocations --format=State --jobs="$1" 2>/dev/null)
case $said in
    COMPLETED) echo success ;;
    BOOT_FAIL | CANCELLED* | DEADLINE | FAILED | LAUNCH_FAILED | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | REVOKED | TIMEOUT) echo failed ;;
    "") echo failed ;; # nobody remembers it
    *) echo running ;;
esac
