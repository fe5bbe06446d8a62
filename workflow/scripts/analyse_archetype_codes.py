from morphobench import log
from morphobench.analyse import tables

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        tables.archetype_embeddings(
            snakemake.input.manifest,
            snakemake.input.embedding,
            snakemake.output.embeddings,
            snakemake.output.weights,
            snakemake.output.cells,
            snakemake.output.variance,
            stratum=snakemake.params.stratum,
            n_archetypes=snakemake.params.n_archetypes,
            k_list=snakemake.params.k_list,
            n_starts=snakemake.params.n_starts,
            keep=snakemake.params.keep,
            seed=snakemake.params.seed,
        )
