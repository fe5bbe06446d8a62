from morphobench import log
from morphobench.jobs import provenance, warned
from morphobench.plot import figure
from morphobench.plot.pages import summary

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        inputs = dict(snakemake.input.items())
        figure.run(
            inputs,
            pdf=snakemake.output.pdf,
            png=snakemake.output.png,
            tables_out=snakemake.output.tables,
            **snakemake.params.described,
            scale=snakemake.params.scale,
        )
        warned.write(snakemake.output.warnings, snakemake.params.names)
        summary.run(
            inputs,
            dict(snakemake.output.items()),
            name=snakemake.wildcards.figure,
            jobs=provenance.collect(snakemake.params.names),
            described=snakemake.params.described,
            scale=snakemake.params.scale,
        )
