# Results that are not as long as they were when they were written, or that a killed command left, or one with other
# settings: Snakemake takes them for done, receipts tell. They are made again, with what follows from them.
from snakemake.settings.types import RerunTrigger

from spectral_ssl import receipts


def damaged():
    """A file of each job with a damaged or unfinished result, which is told."""
    found = set()
    for job in targets.jobs.values():
        for file, what in receipts.wrong(targets.layout, job.id):
            print(f"{file}: {what}; a run makes it again", file=sys.stderr)
            found.add(job.files[0])
    return found


def outdated():
    """A file of each job that was done with other code or settings, as Snakemake's own records say unless the job was
    done by hand, or the records are lost.
    """
    for job in targets.jobs.values():
        made_with = receipts.made_with(targets.layout, job.id)
        if made_with is not None and made_with != receipts.fingerprint(job):
            yield job.files[0]


def forcing(prepare, files):
    """What Snakemake calls before it builds the graph, after those files are asked to be made again."""

    def prepared(*args, **kwargs):
        # Only now: while this file is read, there are no settings of the graph yet.
        settings = workflow.dag_settings
        # What is forced becomes a target, too: where others were asked for, only damage is repaired beside them.
        if RerunTrigger.PARAMS in settings.rerun_triggers and not settings.targets:
            files.update(outdated())
        settings.forcerun = {*settings.forcerun, *files}
        return prepare(*args, **kwargs)

    return prepared


# A cluster's jobs start a process each, which builds on what this one has looked at.
if not workflow.remote_exec:
    workflow._prepare_dag = forcing(workflow._prepare_dag, damaged())
