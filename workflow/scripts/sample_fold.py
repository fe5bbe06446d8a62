from morphobench import log
from morphobench.sample import folds

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        folds.run(
            snakemake.input[0],
            snakemake.output[0],
            fold=snakemake.params.fold,
            split=snakemake.params.split,
            label=snakemake.params.label,
            dataset_name=snakemake.wildcards.dataset,
            seed=snakemake.params.seed,
        )
