from morphobench import log
from morphobench.published import folder

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        models = snakemake.params.dataset["models"]
        shards = {stage: snakemake.input.get(stage) for stage in ("download", "mask", "sample")}
        folder.run(
            snakemake.input.manifest,
            {stage: paths for stage, paths in shards.items() if paths},
            dict(zip(models, snakemake.input.models, strict=True)),
            dict(zip(models, snakemake.input.embeddings, strict=True)),
            dict(zip(models, snakemake.input.reconstructions, strict=True)),
            snakemake.output[0],
            dataset=snakemake.params.dataset,
            seed=snakemake.params.seed,
        )
