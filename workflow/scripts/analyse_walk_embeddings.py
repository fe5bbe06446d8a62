from morphobench import log
from morphobench.analyse import tables

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        tables.walk_embeddings(
            snakemake.input.manifest,
            snakemake.input.embedding,
            snakemake.output.embeddings,
            snakemake.output.cells,
            **snakemake.params.options,
        )
