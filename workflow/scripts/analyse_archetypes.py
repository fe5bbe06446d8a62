from morphobench import log
from morphobench.analyse import shapes

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        shapes.archetype_shapes(
            snakemake.input.manifest,
            snakemake.input.model,
            snakemake.input.embedding,
            snakemake.output.shapes,
            snakemake.output.weights,
            stratum=snakemake.params.stratum,
            n_archetypes=snakemake.params.n_archetypes,
            n_starts=snakemake.params.n_starts,
            embed=snakemake.params.embed,
            side_um=snakemake.params.side_um,
            seed=snakemake.params.seed,
        )
