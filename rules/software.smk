# Where the jobs' packages come from: this interpreter, or with `--sdm` a container or a conda environment.
import os
import shutil

from snakemake.settings.types import DeploymentMethod

APPTAINER, CONDA = DeploymentMethod.APPTAINER, DeploymentMethod.CONDA
METHODS = {APPTAINER, CONDA} & set(workflow.deployment_settings.deployment_method)
PYTHON = "python" if METHODS else shlex.quote(sys.executable)
# Relative, because Snakemake makes results again when the image's name changes, and a checkout may move.
IMAGE = os.path.relpath(BASE / "containers/spectral-ssl.sif")
SAME_LOCK = ""

if METHODS == {APPTAINER, CONDA}:
    raise WorkflowError(
        "found --sdm with both apptainer and conda; choose one: the image has no conda"
    )
if APPTAINER in METHODS:
    build = "build it in the checkout: apptainer build --force containers/spectral-ssl.sif containers/spectral-ssl.def"
    if not Path(IMAGE).is_file():
        raise WorkflowError(
            f"found no image {IMAGE}, which --sdm apptainer needs; {build}"
        )
    lock = shlex.quote(str(BASE / "requirements.lock"))
    stale = shlex.quote(
        f"error: {IMAGE} was not built from {BASE / 'requirements.lock'}; {build}"
    )
    # The image says in this variable where it keeps the lock that it was built from.
    SAME_LOCK = f'cmp --quiet {lock} "${{SPECTRAL_SSL_LOCK:-}}" || {{ echo {stale} >&2; exit 1; }}; '


container: IMAGE


# Within a Slurm job pretraining is a step of its own (rules/step.sh says why); a container has no srun.
IN_SLURM = (
    workflow.remote_exec and "SLURM_JOB_ID" in os.environ and shutil.which("srun")
)
STEP = (
    f"sh {shlex.quote(str(BASE / 'rules/step.sh'))} "
    if IN_SLURM and APPTAINER not in METHODS
    else ""
)
