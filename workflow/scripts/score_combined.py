from morphobench import log, score

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        models = snakemake.params.models
        score.across(dict(zip(models, snakemake.input, strict=True)), models, snakemake.output[0])
