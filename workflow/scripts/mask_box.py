from morphobench import log
from morphobench.mask import box

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        box.run(
            snakemake.input.shards,
            snakemake.output[0],
            **snakemake.params.box,
            frozen=next(iter(snakemake.input.get("frozen", ())), None),
        )
