from morphobench import log
from morphobench.score import stage

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        # A file of each fold under every name.
        tables = {name: files for name, files in snakemake.input.items() if name != "cost"}
        stage.run(
            folds=[dict(zip(tables, paths, strict=True)) for paths in zip(*tables.values(), strict=True)],
            cost=next(iter(snakemake.input.cost), None),
            dataset=snakemake.wildcards.dataset,
            model=snakemake.wildcards.model,
            model_seed=int(snakemake.wildcards.seed),
            dataset_config=snakemake.params.dataset_config,
            score_config=snakemake.params.score_config,
            seed=snakemake.params.seed,
            scores_out=snakemake.output.scores,
            items_out=snakemake.output.item_values,
            replicates_out=snakemake.output.replicates,
            outputs_out=snakemake.output.outputs,
        )
