from morphobench import log
from morphobench.analyse import shapes

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        shapes.walks(
            snakemake.input.manifest,
            snakemake.input.model,
            snakemake.input.embedding,
            snakemake.output[0],
            stratum=snakemake.params.stratum,
            sigmas=snakemake.params.sigmas,
            embed=snakemake.params.embed,
            side_um=snakemake.params.side_um,
            seed=snakemake.params.seed,
        )
