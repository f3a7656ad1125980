# A folder that is locked, told in one line: by a snakemake that still runs there, or by one that was killed, and then
# with the command that unlocks. Snakemake's own locks name no process; so each that runs here shares a lock on a file
# beside them, which the system takes back when a process ends, however it ends.
import fcntl
import logging

from snakemake.logging import logger


class Locked(logging.Filter):
    """Rewrites what Snakemake says of a locked folder."""

    def __init__(self, file):
        super().__init__()
        self.file = file  # open as long as this process
        self.others = False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.others = True
        fcntl.flock(file, fcntl.LOCK_SH)

    def filter(self, record):
        """Lets every message through."""
        if getattr(record, "exception", None) == "LockException":
            record.msg = f"error: {Path.cwd()} is locked by {self._by()}"
        return True

    def _by(self):
        if self.others:
            return "another snakemake, which is running there; wait until it has ended"
        words = [sys.executable, "-m", "snakemake", "--unlock", *sys.argv[1:]]
        return (
            "a snakemake that was killed; see that none of its jobs still runs (pgrep -af spectral_ssl; on a cluster squeue --me), then unlock it with: "
            f"{shlex.join(words)}"
        )


if not workflow.remote_exec:
    try:
        Path(".snakemake").mkdir(exist_ok=True)
        logger.addFilter(Locked(Path(".snakemake/running").open("a+")))
    except OSError:
        pass  # a file system without locks, or one that is read-only: Snakemake's own words
