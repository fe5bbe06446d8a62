from morphobench import log
from morphobench.jobs import gpus
from morphobench.score import cost

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        gpus.claim(snakemake.resources.gpu, snakemake.params.accelerator)
        cost.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.input.model,
            snakemake.input.record,
            snakemake.output[0],
            meshes=snakemake.input.get("meshes", ()),
            n_points=snakemake.params.n_points,
            n_repeats=snakemake.params.n_repeats,
            largest_batch=snakemake.params.largest_batch,
            country=snakemake.params.country,
            accelerator=snakemake.params.accelerator,
            threads=snakemake.threads,
        )
