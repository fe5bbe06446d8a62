from morphobench import log
from morphobench.score import collect

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        models = snakemake.params.models
        collect.combine_datasets(dict(zip(models, snakemake.input, strict=True)), models, snakemake.output[0])
