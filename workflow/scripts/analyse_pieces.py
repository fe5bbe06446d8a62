from morphobench import log
from morphobench.analyse import tables

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        tables.pieces(
            snakemake.input.manifest,
            dict(zip(snakemake.params.sets, snakemake.input.embeddings, strict=True)),
            snakemake.output[0],
            **snakemake.params.options,
        )
