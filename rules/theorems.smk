# One job a paper: every statement with its negative control. Exit status 4 says that a check failed: a result,
# already written, which the ledger and the summary show.

for paper in targets.papers:

    rule:
        name:
            f"theorems_{paper}"
        output:
            targets.theorems(paper),
        log:
            f"{LOGS}/theorems/{paper}.log",
        benchmark:
            f"{BENCHMARKS}/theorems/{paper}.tsv"
        conda:
            "environment.yaml"
        threads: 1
        resources:
            **asks(2000, 60),
        params:
            **targets.theorems_parameters(paper),
            paper=paper,
        message:
            f"theorems: check the statements of {paper}"
        shell:
            "spectral_ssl theorems --paper {params.paper} > {log} 2>&1 || [ $? -eq 4 ]"


rule theorems:
    input:
        [targets.theorems(paper) for paper in targets.papers],
