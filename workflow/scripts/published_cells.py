from morphobench import log
from morphobench.published import shard

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        shard.run(
            snakemake.input[0],
            snakemake.output[0],
            dataset=snakemake.params.dataset,
            shard=int(snakemake.wildcards.shard),
            n_shards=snakemake.params.n_shards,
            download_config=snakemake.config["download"],
            seed=snakemake.params.seed,
            max_failed_fraction=snakemake.params.max_failed_fraction,
        )
