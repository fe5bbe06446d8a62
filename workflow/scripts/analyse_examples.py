from morphobench import log
from morphobench.analyse import examples

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        examples.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.output[0],
            **snakemake.params.options,
        )
