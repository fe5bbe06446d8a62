from morphobench import log
from morphobench.published import labels

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        labels.run(
            snakemake.input.cells,
            snakemake.input.embeddings,
            snakemake.output[0],
            dataset=snakemake.wildcards.dataset,
        )
