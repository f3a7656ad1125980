# Figures of a paper, drawn from its tables' CSV only.

for paper in targets.papers:

    rule:
        name:
            f"figures_{paper}"
        input:
            targets.tables(paper),
        output:
            captioned(targets.figures(paper), paper, "figures"),
        log:
            f"{LOGS}/figures/{paper}.log",
        benchmark:
            f"{BENCHMARKS}/figures/{paper}.tsv"
        localrule: True
        conda:
            "environment.yaml"
        threads: 1
        resources:
            **asks(2000, 30),
        params:
            **targets.figures_parameters(paper),
            paper=paper,
        message:
            f"figures: {paper}"
        shell:
            "spectral_ssl figures --paper {params.paper} > {log} 2>&1"


rule figures:
    input:
        [targets.figures(paper) for paper in targets.papers],
