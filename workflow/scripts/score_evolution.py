from morphobench import log
from morphobench.jobs import gpus
from morphobench.score import evolution

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        gpus.claim(snakemake.resources.gpu, snakemake.params.accelerator)
        evolution.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.input.model,
            snakemake.input.embedding,
            snakemake.input.pairs,
            snakemake.output[0],
            meshes=snakemake.input.get("meshes", ()),
            dataset=snakemake.wildcards.dataset,
            n_fractions=snakemake.params.n_fractions,
            energy_points=snakemake.params.energy_points,
            packing=snakemake.params.packing,
            embed_config=snakemake.params.embed_config,
            side_um=snakemake.params.side_um,
            seed=snakemake.params.seed,
            accelerator=snakemake.params.accelerator,
            threads=snakemake.threads,
        )
