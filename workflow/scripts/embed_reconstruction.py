from morphobench import log
from morphobench.embed import reconstruction
from morphobench.jobs import gpus

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        gpus.claim(snakemake.resources.gpu, snakemake.params.accelerator)
        reconstruction.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.input.model,
            snakemake.input.embedding,
            snakemake.output[0],
            meshes=snakemake.input.get("meshes", ()),
            dataset=snakemake.wildcards.dataset,
            embed_config=snakemake.params.embed_config,
            side_um=snakemake.params.side_um,
            stratum=snakemake.params.stratum,
            packing=snakemake.params.packing,
            seed=snakemake.params.seed,
            accelerator=snakemake.params.accelerator,
            threads=snakemake.threads,
        )
