from morphobench import log
from morphobench.embed import own

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        own.run(
            snakemake.input.manifest,
            snakemake.params.file,
            snakemake.output[0],
            rotations=snakemake.params.rotations,
        )
