from morphobench import log
from morphobench.files import shards

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        shards.stage_module("sample", snakemake.params.dataset["form"]).run(
            shard_out=snakemake.output[0],
            dataset_name=snakemake.wildcards.dataset,
            # The shard, and for some kinds what all shards share.
            **dict(snakemake.input.items()),
            **snakemake.params.dataset["sample"],
            seed=snakemake.params.seed,
            max_failed_fraction=snakemake.params.max_failed_fraction,
        )
