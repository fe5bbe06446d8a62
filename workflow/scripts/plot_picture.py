from morphobench import log
from morphobench.plot import picture

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        picture.run(snakemake.input[0], snakemake.output[0])
