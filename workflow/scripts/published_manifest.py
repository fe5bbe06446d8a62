from morphobench import log
from morphobench.published import manifest

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        manifest.run(
            snakemake.output[0],
            dataset=snakemake.params.dataset,
            max_cells=snakemake.params.max_cells,
            download_config=snakemake.config["download"],
        )
