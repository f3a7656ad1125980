# Data set and views of a subset with their relation graph.


rule data:
    output:
        targets.data(),
    log:
        f"{LOGS}/data.log",
    benchmark:
        f"{BENCHMARKS}/data.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        **targets.data_parameters(),
    message:
        f"data: ingest {targets.dataset}"
    shell:
        "spectral_ssl data > {log} 2>&1"


rule views:
    input:
        targets.data(),
    output:
        targets.views(),
    log:
        f"{LOGS}/views.log",
    benchmark:
        f"{BENCHMARKS}/views.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        **targets.views_parameters(),
    message:
        f"views: {targets.tier.views.views} views of {targets.tier.views.images} images"
    shell:
        "spectral_ssl views > {log} 2>&1"
