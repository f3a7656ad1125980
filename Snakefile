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
from spectral_ssl.failures import failures
from spectral_ssl.refusals import refusals
from spectral_ssl.targets import Targets

if set("{}") & set(str(BASE)):
    raise WorkflowError(
        f"found a brace in the checkout's path {BASE}, which Snakemake takes for a wildcard; rename that folder"
    )
try:
    targets = Targets(config, BASE / "config")
    targets.manifest
except UserError as error:
    raise WorkflowError(str(error))


include: "rules/lock.smk"
include: "rules/software.smk"


# A shell function that the rules call. Interpreter and tier are no part of a rule's recorded command, so that a
# moved checkout and an override (`--config seeds=10`) rerun only what `params` say has changed.
CALL = f'-m spectral_ssl "$@" {targets.arguments}'
PREFIX = (
    f"set -euo pipefail; {SAME_LOCK}export PYTHONPATH={shlex.quote(str(BASE / 'src'))}; "
    f"spectral_ssl() ( {PYTHON} {CALL} ); "
    f"spectral_ssl_together() ( {STEP}{PYTHON} {targets.launcher}{CALL} ); "
)
shell.prefix(PREFIX.replace("{", "{{").replace("}", "}}"))
LOGS = f"results/{targets.tier.name}/logs"
BENCHMARKS = f"results/{targets.tier.name}/benchmarks"


report: "rules/report.rst"


include: "rules/captions.smk"
include: "rules/resources.smk"
include: "rules/allowed.smk"
include: "rules/damaged.smk"


for name in FILES:
    if needed(name):

        include: f"rules/{name}.smk"


if not ALLOWED:

    rule all:
        default_target: True
        input:
            targets.everything(),


onerror:
    said = "".join(
        Path(file).read_text(encoding="utf-8", errors="replace") for file in log
    )
    for line in refusals(said) + failures(said):
        print(line, file=sys.stderr)
