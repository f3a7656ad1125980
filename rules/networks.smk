# Networks trained on finite graphs, a job a loss. Exit status 3 says that a loss diverged: a result, already written,
# and no reason to stop.

for name in targets.networks_trained:

    rule:
        name:
            f"networks_{name}"
        output:
            targets.networks(name),
        log:
            f"{LOGS}/networks/{name}.log",
        benchmark:
            f"{BENCHMARKS}/networks/{name}.tsv"
        conda:
            "environment.yaml"
        threads: 1
        resources:
            **asks(2000, 60),
        params:
            **targets.networks_parameters(name),
            only=name,
        message:
            f"networks: {name} on a finite graph"
        shell:
            "spectral_ssl networks --only {params.only} > {log} 2>&1 || [ $? -eq 3 ]"


rule networks:
    input:
        [targets.networks(name) for name in targets.networks_trained],
