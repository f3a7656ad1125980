# Results that are not as long as they were when they were written, or whose job was killed by hand between two of its
# files: Snakemake takes them for done, receipts tell. They are made again, with what follows from them.
from spectral_ssl.receipts import wrong


def damaged():
    """A file of each job with a damaged or unfinished result."""
    found = set()
    for job in targets.jobs.values():
        for file, what in wrong(targets.layout, job.id):
            print(f"{file}: {what}; it is made again", file=sys.stderr)
            found.add(job.files[0])
    return found


def forcing(prepare, files):
    """What Snakemake calls before it builds the graph, after those files are asked to be made again."""

    def prepared(*args, **kwargs):
        # Only now: while this file is read, there are no settings of the graph yet.
        workflow.dag_settings.forcerun = {*workflow.dag_settings.forcerun, *files}
        return prepare(*args, **kwargs)

    return prepared


# A cluster's jobs start a process each, which builds on what this one has looked at.
if not workflow.remote_exec and (FORCED := damaged()):
    workflow._prepare_dag = forcing(workflow._prepare_dag, FORCED)
