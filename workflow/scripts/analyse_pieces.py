from morphobench import log
from morphobench.analyse import stage

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        stage.pieces(
            snakemake.input.manifest,
            dict(zip(snakemake.params.sets, snakemake.input.embeddings, strict=True)),
            snakemake.output[0],
            settings=snakemake.params.settings,
            bins=snakemake.params.bins,
        )
