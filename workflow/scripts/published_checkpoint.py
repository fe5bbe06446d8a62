from morphobench import log
from morphobench.config.schema import typed
from morphobench.published import checkpoint

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        checkpoint.run(
            snakemake.output.model,
            snakemake.output.record,
            dataset=snakemake.params.dataset,
            model=snakemake.wildcards.model,
            settings=snakemake.params.model,
            seed=int(snakemake.wildcards.seed),
            code=snakemake.params.source_digest,
            download=typed(snakemake.config["download"]),
        )
