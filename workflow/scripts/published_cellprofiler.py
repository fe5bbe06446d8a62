from morphobench import log
from morphobench.published import cellprofiler

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        cellprofiler.run(
            snakemake.output[0],
            dataset=snakemake.params.dataset,
            download_config=snakemake.config["download"],
        )
