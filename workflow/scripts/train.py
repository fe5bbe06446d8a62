from morphobench import log
from morphobench.jobs import gpus
from morphobench.plot import curves
from morphobench.train import nodes

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        gpus.claim(snakemake.resources.gpu, snakemake.params.train_config["accelerator"])
        nodes.train(
            manifest=snakemake.input.manifest,
            shards=list(snakemake.input.shards),
            model_out=snakemake.output.model,
            record_out=snakemake.output.record,
            curves_out=snakemake.output.curves,
            checkpoints=snakemake.params.checkpoints,
            dataset=snakemake.params.dataset,
            model_name=snakemake.params.model_name,
            model_config=snakemake.params.model_config,
            train_config=snakemake.params.train_config,
            seed=snakemake.params.seed,
            source_digest=snakemake.params.source_digest,
            threads=snakemake.threads,
        )
        # Here, not in the training itself: the look of a picture must not train a model again.
        curves.run(snakemake.output.curves, snakemake.output.picture, title=snakemake.params.model_name)
