from morphobench import log, mask

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        mask.run(
            snakemake.input[0],
            snakemake.output[0],
            **snakemake.params.mask,
            max_failed_fraction=snakemake.params.max_failed_fraction,
        )
