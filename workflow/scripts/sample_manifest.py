from morphobench import log, sample

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        sample.manifest(
            dict(enumerate(snakemake.input)),
            snakemake.output[0],
            split=snakemake.params.split,
            seed=snakemake.params.seed,
            dataset_name=snakemake.wildcards.dataset,
        )
