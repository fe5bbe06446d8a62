from morphobench import log
from morphobench.plot.pages import results

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        results.run(
            {name: snakemake.input.get(name, []) for name in ("scores", "differences", "trainings")},
            snakemake.output[0],
            present=snakemake.params.present,
            described=snakemake.params.described,
            published=snakemake.params.published,
            scale=snakemake.params.scale,
        )
