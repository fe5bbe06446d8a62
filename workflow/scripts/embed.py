from morphobench import log
from morphobench.embed import run as embed
from morphobench.jobs import gpus

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        gpus.claim(snakemake.resources.gpu, snakemake.params.accelerator)
        embed.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.input.model,
            snakemake.output[0],
            rotations="identity",
            frozen=next(iter(snakemake.input.get("frozen", ())), None),
            cube=(snakemake.params.packing or {}).get("cube"),
            dataset=snakemake.wildcards.dataset,
            embed_config=snakemake.params.embed_config,
            seed=snakemake.params.seed,
            accelerator=snakemake.params.accelerator,
            threads=snakemake.threads,
        )
