# What a job asks a cluster for. GPUs are asked for as the profile says: by `gpu`, a count, or, where its
# default-resources name a `gres` (gpu, gpu:a100), by `gres` and a count.
DEFAULTS = workflow.resource_settings.default_resources or {}
GRES = DEFAULTS["gres"] if "gres" in DEFAULTS else None


def asks(memory, minutes, cores=1, gpus=0):
    """Resources of a job: MiB, minutes, cores, GPUs. A second try may be due to memory or time: twice both."""
    resources = {
        "mem_mb": lambda wildcards, attempt: memory * attempt,
        "runtime": lambda wildcards, attempt: minutes * attempt,
        "cpus_per_task": cores,  # `threads` is cut to the cores of the machine that submits
        "nodes": 1,  # or GPUs might be of several
    }
    if GRES is None:
        return resources | {"gpu": gpus}
    kind = getattr(GRES, "raw", GRES)
    return resources | {"gpu": 0, "gres": f"{kind}:{gpus}" if gpus else ""}
