from morphobench import log
from morphobench.models import weights

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        weights.write(snakemake.output.model, weights.read(snakemake.input.model), half=True)
