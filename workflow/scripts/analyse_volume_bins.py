from morphobench import log
from morphobench.analyse import tables

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        tables.volume_bins(
            snakemake.input.manifest,
            snakemake.input.embedding,
            snakemake.output.bins,
            snakemake.output.embeddings,
            snakemake.output.cells,
            **snakemake.params.options,
        )
