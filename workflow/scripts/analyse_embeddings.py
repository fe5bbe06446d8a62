from morphobench import log
from morphobench.analyse import tables

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        source, out = (snakemake.input.manifest, snakemake.input.embedding), snakemake.output
        tables.pca(*source, out.pca_scores, **snakemake.params.pca)
        tables.walk_embeddings(*source, out.walk_embeddings, out.walk_cells, **snakemake.params.walk)
        tables.archetype_embeddings(
            *source,
            out.archetype_embeddings,
            out.archetype_weights,
            out.archetype_cells,
            out.archetype_variance,
            **snakemake.params.archetypes,
        )
