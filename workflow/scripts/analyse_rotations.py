from morphobench import log
from morphobench.analyse import decoded

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        decoded.rotations(
            snakemake.input.manifest,
            snakemake.input.shards,
            snakemake.input.model,
            snakemake.output[0],
            **snakemake.params.options,
            embed=snakemake.params.embed_config,
            side_um=snakemake.params.side_um,
            seed=snakemake.params.seed,
        )
