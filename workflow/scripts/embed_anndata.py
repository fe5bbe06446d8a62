from morphobench import log
from morphobench.embed import anndata

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        anndata.run(
            snakemake.input.manifest,
            snakemake.input.embedding,
            snakemake.output[0],
            reconstruction=snakemake.input.get("reconstruction"),
            numbers=snakemake.params.numbers,
            provenance={
                **snakemake.params.provenance,
                **{key: snakemake.wildcards[key] for key in ("dataset", "model", "seed")},
                "code": snakemake.params.source_digest,
            },
        )
