from morphobench import log
from morphobench.analyse import surfaces

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        inputs = dict(snakemake.input.items())
        surfaces.run(
            snakemake.input.manifest,
            snakemake.input.shards,
            {role: inputs[role] for role in surfaces.ROLES if role in inputs},
            snakemake.output.meshes,
            snakemake.output.table,
            **snakemake.params.options,
        )
