# Data sets, views of a subset of the main one with their relation graph, and a contact sheet of each.

for dataset in targets.datasets:

    rule:
        name:
            f"data_{dataset.replace('-', '_')}"
        output:
            targets.data(dataset),
        log:
            f"{LOGS}/data/{dataset}.log",
        benchmark:
            f"{BENCHMARKS}/data/{dataset}.tsv"
        conda:
            "environment.yaml"
        threads: 1
        resources:
            **asks(2000, targets.tier.jobs.ingestion),
        params:
            **targets.data_parameters(dataset),
            dataset=dataset,
        message:
            f"data: ingest {dataset}"
        shell:
            "spectral_ssl data --dataset {params.dataset} > {log} 2>&1"


rule data:
    input:
        targets.all_data(),


rule views:
    input:
        targets.all_data(),
    output:
        targets.views(),
    log:
        f"{LOGS}/views.log",
    benchmark:
        f"{BENCHMARKS}/views.tsv"
    conda:
        "environment.yaml"
    threads: 1
    resources:
        **asks(4000, 60),
    params:
        **targets.views_parameters(),
    message:
        f"views: {targets.tier.views.views} views of {targets.tier.views.images} images"
    shell:
        "spectral_ssl views > {log} 2>&1"
