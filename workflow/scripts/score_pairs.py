from morphobench import log
from morphobench.score import pairs

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        pairs.run(
            snakemake.input[0],
            snakemake.output[0],
            n_pairs=snakemake.params.n_pairs,
            seed=snakemake.params.seed,
            dataset=snakemake.wildcards.dataset,
        )
