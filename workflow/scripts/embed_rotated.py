from morphobench import log
from morphobench.embed import rotated
from morphobench.jobs import gpus

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        gpus.claim(snakemake.resources.gpu, snakemake.params.accelerator)
        rotated.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.input.model,
            dict(snakemake.output.items()),
            frozen=snakemake.input.get("frozen", ()),
            packing=snakemake.params.packing,
            dataset=snakemake.wildcards.dataset,
            embed_config=snakemake.params.embed_config,
            seed=snakemake.params.seed,
            accelerator=snakemake.params.accelerator,
            threads=snakemake.threads,
        )
