from morphobench import log
from morphobench.embed import freeze

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        freeze.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.input.trainings,
            snakemake.output[0],
        )
