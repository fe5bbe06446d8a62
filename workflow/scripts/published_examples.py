from morphobench import log
from morphobench.published import labels

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        labels.write_examples(
            snakemake.input[0],
            snakemake.output[0],
            dataset=snakemake.params.dataset,
            seed=snakemake.params.seed,
            download_config=snakemake.config["download"],
        )
