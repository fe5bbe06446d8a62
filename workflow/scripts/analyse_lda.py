from morphobench import log
from morphobench.analyse import drugs

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        drugs.lda(
            snakemake.input.manifest,
            snakemake.input.embedding,
            snakemake.output.tests,
            snakemake.output.scores,
            snakemake.output.walk,
            **snakemake.params.options,
        )
