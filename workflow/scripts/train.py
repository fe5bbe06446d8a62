from morphobench import log, train

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        train.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            model_out=snakemake.output.model,
            record_out=snakemake.output.record,
            curves_out=snakemake.output.curves,
            checkpoints=snakemake.params.checkpoints,
            dataset=snakemake.wildcards.dataset,
            model_name=snakemake.wildcards.model,
            settings=snakemake.params.model,
            trainer=snakemake.params.settings,
            seed=int(snakemake.wildcards.seed),
            code=snakemake.params.code,
            threads=snakemake.threads,
        )
