from morphobench import log
from morphobench.analyse import tables

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        tables.strata(
            snakemake.input[0],
            snakemake.output[0],
            **snakemake.params.options,
        )
