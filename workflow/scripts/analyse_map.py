from morphobench import log
from morphobench.analyse import tables

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        tables.embedding_map(
            snakemake.input.manifest,
            snakemake.input.embedding,
            snakemake.input.archetypes,
            snakemake.output.cells,
            snakemake.output.archetypes,
            **snakemake.params.options,
        )
