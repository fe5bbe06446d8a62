from morphobench import log
from morphobench.analyse import decoded

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        decoded.decode(
            snakemake.input.model,
            dict(snakemake.input.items()),
            dict(snakemake.output.items()),
            embed=snakemake.params.embed_config,
            side_um=snakemake.params.side_um,
            seed=snakemake.params.seed,
        )
