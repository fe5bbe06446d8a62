from morphobench import log
from morphobench.config.schema import typed
from morphobench.files import shards

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        shards.stage_module("published", snakemake.params.kind).run(
            snakemake.input[0],
            snakemake.output[0],
            dataset=snakemake.params.dataset,
            shard=int(snakemake.wildcards.shard),
            n_shards=snakemake.params.n_shards,
            download=typed(snakemake.config["download"]),
            seed=snakemake.params.seed,
            max_failed_fraction=snakemake.params.max_failed_fraction,
        )
