from morphobench import log
from morphobench.train import reuse

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        reuse.run(
            snakemake.input.weights,
            snakemake.input.manifest,
            model_out=snakemake.output.model,
            record_out=snakemake.output.record,
            dataset=snakemake.wildcards.dataset,
            model_config=snakemake.params.model_config,
            cells_config=snakemake.params.cells_config,
        )
