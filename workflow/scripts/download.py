from morphobench import log
from morphobench.files import shards

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        shards.stage_module("download", snakemake.params.dataset["form"]).run(
            snakemake.output[0],
            dataset=snakemake.params.dataset,
            shard=int(snakemake.wildcards.shard),
            n_shards=snakemake.params.dataset["n_shards"],
            seed=snakemake.params.seed,
            max_failed_fraction=snakemake.params.max_failed_fraction,
            manifest=snakemake.input.manifest,
            # Patience and connections change no result: they are no parameters.
            download_config=snakemake.config["download"] | snakemake.params.place,
        )
