from morphobench import log
from morphobench.plot.pages import shapes

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        shapes.run(
            dict(snakemake.input.items()),
            snakemake.output[0],
            title=snakemake.params.title,
            unit=snakemake.params.unit,
            strata=snakemake.params.strata,
        )
