from morphobench import log, score

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        score.run(
            manifest=snakemake.input.manifest,
            embeddings={pose: snakemake.input.get(pose) for pose in ("identity", "lattice", "uniform")},
            evolution=snakemake.input.get("evolution"),
            cost=snakemake.input.get("cost"),
            dataset=snakemake.wildcards.dataset,
            model=snakemake.wildcards.model,
            model_seed=int(snakemake.wildcards.seed),
            labels=snakemake.params.labels,
            settings=snakemake.params.settings,
            seed=snakemake.params.seed,
            scores_out=snakemake.output.scores,
            items_out=snakemake.output.item_values,
        )
