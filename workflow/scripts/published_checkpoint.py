from morphobench import log
from morphobench.published import checkpoint

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        checkpoint.run(
            snakemake.output.model,
            snakemake.output.record,
            dataset=snakemake.params.dataset,
            model=snakemake.wildcards.model,
            model_config=snakemake.params.model,
            seed=int(snakemake.wildcards.seed),
            source_digest=snakemake.params.source_digest,
            cells_config=snakemake.params.cells_config,
            download_config=snakemake.config["download"],
        )
