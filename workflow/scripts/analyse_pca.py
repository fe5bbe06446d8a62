from morphobench import log
from morphobench.analyse import stage

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        stage.pca(
            snakemake.input.manifest,
            snakemake.input.embedding,
            snakemake.output[0],
            stratum=snakemake.params.stratum,
            keep=snakemake.params.keep,
        )
