from morphobench import log
from morphobench.mask import scale

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        scale.run(snakemake.input, snakemake.output[0], **snakemake.params.scale)
