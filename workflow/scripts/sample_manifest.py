from morphobench import log
from morphobench.sample import manifest

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        manifest.run(
            dict(enumerate(snakemake.input.shards)),
            snakemake.output[0],
            split=snakemake.params.split,
            column=snakemake.params.column,
            seed=snakemake.params.seed,
            dataset_name=snakemake.wildcards.dataset,
            frozen=next(iter(snakemake.input.get("frozen", ())), None),
            n_folds=snakemake.params.n_folds,
            label=snakemake.params.label,
        )
