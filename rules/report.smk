# A notebook a paper, then the ledger, the theorem checks and the report of every tier present.

for paper in targets.papers:

    rule:
        name:
            f"notebook_{paper}"
        input:
            targets.tables(paper),
            targets.theorems(paper),
            targets.figures(paper),
        output:
            noted(targets.notebook(paper), paper),
        log:
            f"{LOGS}/notebooks/{paper}.log",
        benchmark:
            f"{BENCHMARKS}/notebooks/{paper}.tsv"
        localrule: True
        conda:
            "environment.yaml"
        threads: 1
        resources:
            **asks(2000, 30),
        params:
            **targets.notebook_parameters(paper),
            paper=paper,
        message:
            f"notebook: {paper}"
        shell:
            "spectral_ssl notebook --paper {params.paper} > {log} 2>&1"


rule report:
    input:
        [targets.tables(paper) for paper in targets.papers],
        [targets.theorems(paper) for paper in targets.papers],
        [targets.figures(paper) for paper in targets.papers],
        [targets.notebook(paper) for paper in targets.papers],
        targets.views(),
    output:
        merged(targets.report()),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    localrule: True
    conda:
        "environment.yaml"
    threads: 1
    resources:
        **asks(2000, 30),
    params:
        **targets.report_parameters(),
        tier=targets.tier.name,
    message:
        "report: results/report.html"
    shell:
        "spectral_ssl report > {log} 2>&1"
