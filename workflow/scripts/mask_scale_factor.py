from morphobench import log
from morphobench.mask import scale_factor

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        scale_factor.run(
            snakemake.input.shards,
            snakemake.output[0],
            **snakemake.params.scale_factor,
            frozen=next(iter(snakemake.input.get("frozen", ())), None),
        )
