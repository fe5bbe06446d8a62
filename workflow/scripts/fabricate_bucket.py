from morphobench import log
from morphobench.fabricate import bucket

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        bucket.run(
            snakemake.output[0],
            name=snakemake.wildcards.bucket,
            bucket=snakemake.params.bucket,
            seed=snakemake.params.seed,
        )
