# Results that are not as long as they were when they were written, or whose job was killed by hand between two of its
# files: Snakemake takes them for done, receipts tell. They are made again, with what follows from them.
from spectral_ssl.receipts import wrong

# A cluster's jobs start a process each, which builds on what this one has looked at.
if not workflow.remote_exec:
    for job in targets.jobs.values():
        for file, what in wrong(targets.layout, job.id):
            print(f"{file}: {what}; it is made again", file=sys.stderr)
            forced = {*workflow.dag_settings.forcerun, job.files[0]}
            workflow.dag_settings.forcerun = forced
