from morphobench import log
from morphobench.score import collect

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        collect.collect_dataset(
            scores=snakemake.input.scores,
            items=snakemake.input.item_values,
            replicates=snakemake.input.replicates,
            outputs=snakemake.input.outputs,
            scores_out=snakemake.output.scores,
            items_out=snakemake.output.item_values,
            differences_out=snakemake.output.differences,
            anchors=snakemake.params.anchors,
            models=snakemake.params.models,
            n_permutations=snakemake.params.n_permutations,
            seed=snakemake.params.seed,
        )
