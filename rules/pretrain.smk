# One job a batch: runs of one method and one encoder, trained and probed by one command.
# Exit status 3 says that a loss diverged: a result, already written, and no reason to stop.
JOBS = targets.tier.jobs
PROCESSES = targets.tier.engine.processes
CORES = PROCESSES * JOBS.threads

BATCHES = {
    f"pretrain_{batch.id.replace('-', '_')}": batch
    for batch in targets.manifest.batches.values()
}

for pretraining in ALLOWED & BATCHES.keys() or BATCHES:
    batch = BATCHES[pretraining]

    rule:
        name:
            pretraining
        input:
            targets.data(batch.runs[0].dataset),
        output:
            targets.batch(batch),
        log:
            f"{LOGS}/pretrain/{batch.id}.log",
        benchmark:
            f"{BENCHMARKS}/pretrain/{batch.id}.tsv"
        conda:
            "environment.yaml"
        threads: CORES
        resources:
            **asks(PROCESSES * JOBS.memory, JOBS.runtime, CORES, PROCESSES * JOBS.gpus),
        params:
            **targets.batch_parameters(batch),
            batch=batch.id,
        message:
            f"pretrain: {batch.id}, {len(batch.runs)} runs"
        shell:
            "spectral_ssl_together pretrain --batch {params.batch} > {log} 2>&1 || [ $? -eq 3 ]"


# Snakemake leaves a function a rule in this namespace, which it copies for every string of every job that it formats.
for name in [name for name in globals() if name.startswith("__pretrain_")]:
    del globals()[name]

if not ALLOWED:

    rule pretrain:
        input:
            [targets.batch(batch) for batch in BATCHES.values()],
