from morphobench import log
from morphobench.analyse import tables

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        tables.strata(
            snakemake.input[0],
            snakemake.output[0],
            stratum=snakemake.params.stratum,
            n_permutations=snakemake.params.n_permutations,
            seed=snakemake.params.seed,
        )
