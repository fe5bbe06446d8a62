from morphobench import log
from morphobench.embed import baselines

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        baselines.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            {name: snakemake.output[name] for name in ("identity", "lattice", "uniform")},
            snakemake.output.invariances,
            baseline=snakemake.params.baseline,
            n_uniform=snakemake.params.n_uniform,
            dataset=snakemake.wildcards.dataset,
            seed=snakemake.params.seed,
            packing=snakemake.params.packing,
            **snakemake.params.known,
        )
