# The graph: data -> views, pretraining, theorem checks, networks -> tables -> figures -> notebooks and report.
# It computes nothing: rules call `python -m spectral_ssl STAGE`, and what there is to run comes from one
# manifest (src/spectral_ssl/targets.py). Choose a tier with `--config tier=smoke`.
import shlex
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

BASE = Path(workflow.basedir)
sys.path.insert(0, str(BASE / "src"))

from spectral_ssl.errors import UserError
from spectral_ssl.targets import Targets

try:
    targets = Targets(config, BASE / "config")
    targets.manifest
except UserError as error:
    raise WorkflowError(str(error))

# A shell function that the rules call. Interpreter and tier are no part of a rule's recorded command, so that a
# moved checkout and an override (`--config seeds=10`) rerun only what `params` say has changed.
PYTHON = shlex.quote(sys.executable)
CALL = f'-m spectral_ssl "$@" {targets.arguments}'
PREFIX = (
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(BASE / 'src'))}; "
    f"spectral_ssl() ( {PYTHON} {CALL} ); spectral_ssl_together() ( {PYTHON} {targets.launcher}{CALL} ); "
)
shell.prefix(PREFIX.replace("{", "{{").replace("}", "}}"))
LOGS = f"results/{targets.tier.name}/logs"
BENCHMARKS = f"results/{targets.tier.name}/benchmarks"


container: "docker://python:3.11-slim"


report: "rules/report.rst"


include: "rules/captions.smk"
include: "rules/resources.smk"
include: "rules/data.smk"
include: "rules/pretrain.smk"
include: "rules/theorems.smk"
include: "rules/networks.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        targets.everything(),
