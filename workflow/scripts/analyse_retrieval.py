from morphobench import log
from morphobench.analyse import drugs

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        drugs.retrieval(
            snakemake.input.manifest,
            dict(zip(snakemake.params.sets, snakemake.input.embeddings, strict=True)),
            snakemake.output.groups,
            snakemake.output.cells,
            cellprofiler=snakemake.input.get("cellprofiler"),
            **snakemake.params.options,
        )
