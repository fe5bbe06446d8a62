from morphobench import log
from morphobench.published import export

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        export.run(
            snakemake.input.manifest,
            dict(zip(snakemake.params.models, snakemake.input.embeddings, strict=True)),
            snakemake.input.pca,
            snakemake.input.plane,
            snakemake.input.scores,
            h5ad=snakemake.output.h5ad,
            csv=snakemake.output.csv,
            model=snakemake.params.model,
            numbers=snakemake.params.numbers,
            provenance={
                **snakemake.params.provenance,
                "dataset": snakemake.wildcards.dataset,
                "seed": snakemake.params.seed,
                "code": snakemake.params.source_digest,
            },
        )
