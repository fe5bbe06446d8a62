from morphobench import log
from morphobench.plot import figure

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        figure.run(
            dict(snakemake.input.items()),
            pdf=snakemake.output.pdf,
            png=snakemake.output.png,
            tables_out=snakemake.output.tables,
            figure=snakemake.params.figure,
            title=snakemake.params.title,
            demo=snakemake.params.demo,
            models=snakemake.params.models,
            baselines=snakemake.params.baselines,
            labels=snakemake.params.labels,
            analysis_model=snakemake.params.analysis_model,
            gaps=snakemake.params.gaps,
            width_mm=snakemake.params.width_mm,
        )
