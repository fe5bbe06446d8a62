from morphobench import log
from morphobench.score import stage

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        stage.run(
            manifest=snakemake.input.manifest,
            embeddings={name: snakemake.input.get(name) for name in ("identity", "lattice", "uniform")},
            reconstruction=snakemake.input.get("reconstruction"),
            pairs=snakemake.input.get("pairs"),
            evolution=snakemake.input.get("evolution"),
            cost=snakemake.input.get("cost"),
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
