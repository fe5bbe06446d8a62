from morphobench import log, score

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        score.write_pairs(
            snakemake.input[0],
            snakemake.output[0],
            n_pairs=snakemake.params.n_pairs,
            seed=snakemake.params.seed,
            dataset=snakemake.wildcards.dataset,
        )
