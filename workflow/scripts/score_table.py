from morphobench import log, score

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        score.combine(snakemake.input.scores, snakemake.output.scores)
        score.combine(snakemake.input.item_values, snakemake.output.item_values)
