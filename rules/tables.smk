# Tables, tidy measurements and ledger rows of a paper.

for paper in targets.papers:

    rule:
        name:
            f"tables_{paper}"
        input:
            targets.all_data(),
            targets.views(),
            targets.runs(paper),
            targets.theorems(paper),
        output:
            captioned(targets.tables(paper), paper, "tables"),
        log:
            f"{LOGS}/tables/{paper}.log",
        benchmark:
            f"{BENCHMARKS}/tables/{paper}.tsv"
        conda:
            "environment.yaml"
        threads: 1
        resources:
            **asks(2000, 30),
        params:
            **targets.tables_parameters(paper),
            paper=paper,
        message:
            f"tables: {paper}"
        shell:
            "spectral_ssl tables --paper {params.paper} > {log} 2>&1"


rule tables:
    input:
        [targets.tables(paper) for paper in targets.papers],
