from morphobench import log, models

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        config = snakemake.params.model_config
        model = models.create(config["family"], **config["architecture"])
        models.save(model, config, snakemake.output.model)
