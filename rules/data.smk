# Data set and views of a subset with their relation graph.


rule data:
    output:
        targets.data(),
    params:
        **targets.data_parameters(),
    log:
        f"{LOGS}/data.log",
    benchmark:
        f"{BENCHMARKS}/data.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    message:
        f"data: ingest {targets.dataset}"
    shell:
        "{PYTHON} -m spectral_ssl data {ARGUMENTS} > {log} 2>&1"


rule views:
    input:
        targets.data(),
    output:
        targets.views(),
    params:
        **targets.views_parameters(),
    log:
        f"{LOGS}/views.log",
    benchmark:
        f"{BENCHMARKS}/views.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    message:
        f"views: {targets.tier.views.views} views of {targets.tier.views.images} images"
    shell:
        "{PYTHON} -m spectral_ssl views {ARGUMENTS} > {log} 2>&1"
