from morphobench import log
from morphobench.published import embedding

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        embedding.run(
            snakemake.input.cells,
            snakemake.output.table,
            snakemake.output.reconstruction,
            snakemake.output.unmatched,
            dataset=snakemake.params.dataset,
            model=snakemake.wildcards.model,
            download_config=snakemake.config["download"],
        )
