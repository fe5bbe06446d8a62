from morphobench import log
from morphobench.embed import scored
from morphobench.jobs import gpus

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        gpus.claim(snakemake.resources.gpu, snakemake.params.accelerator)
        scored.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.input.model,
            snakemake.input.embedding,
            dict(snakemake.output.items()),
            frozen=snakemake.input.get("frozen", ()),
            meshes=snakemake.input.get("meshes", ()),
            dataset=snakemake.wildcards.dataset,
            embed_config=snakemake.params.embed_config,
            packing=snakemake.params.packing,
            side_um=snakemake.params.side_um,
            stratum=snakemake.params.stratum,
            seed=snakemake.params.seed,
            accelerator=snakemake.params.accelerator,
            threads=snakemake.threads,
        )
