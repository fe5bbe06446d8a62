from morphobench import log
from morphobench.analyse import trainings

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        names = map(tuple, snakemake.params.trainings)
        trainings.run(dict(zip(names, snakemake.input, strict=True)), snakemake.output[0])
