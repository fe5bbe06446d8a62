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
            shared=next(iter(snakemake.input.get("shared", ())), None),
            model_out=snakemake.output.model,
            record_out=snakemake.output.record,
            curves_out=snakemake.output.curves,
            threads=snakemake.threads,
            **dict(snakemake.params.items()),
        )
        # Here, not in the training itself: the look of a picture must not train a model again.
        curves.run(snakemake.output.curves, snakemake.output.picture, title=snakemake.params.model_name)
