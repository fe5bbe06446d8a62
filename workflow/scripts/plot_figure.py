from morphobench import log
from morphobench.jobs import warned
from morphobench.plot import figure

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        figure.run(
            dict(snakemake.input.items()),
            pdf=snakemake.output.pdf,
            png=snakemake.output.png,
            tables_out=snakemake.output.tables,
            **snakemake.params.described,
            scale=snakemake.params.scale,
        )
        warned.write(snakemake.output.warnings, snakemake.params.names)
