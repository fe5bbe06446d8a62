from morphobench import log
from morphobench.files import shards

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        shards.stage_module("mask", snakemake.params.dataset["form"]).run(
            snakemake.input[0],
            snakemake.output[0],
            **snakemake.params.dataset["mask"],
            max_failed_fraction=snakemake.params.max_failed_fraction,
        )
