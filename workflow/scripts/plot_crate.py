from morphobench import log
from morphobench.jobs import provenance
from morphobench.plot import crate

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        crate.run(
            dict(snakemake.input.items()),
            snakemake.output[0],
            title=snakemake.params.title,
            datasets=snakemake.params.datasets,
            jobs=provenance.collect(snakemake.params.names),
            clone=snakemake.params.clone,
            config=snakemake.params.config,
        )
