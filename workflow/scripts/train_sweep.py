from morphobench import log
from morphobench.train import sweep

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        sweep.run(snakemake.params.points, snakemake.input.records, snakemake.output.table)
