from morphobench import log
from morphobench.plot import contact_sheet

if __name__ == "__main__":
    with log.job(snakemake.log[0]):
        contact_sheet.run(
            snakemake.input.manifest,
            {stage: snakemake.input[stage] for stage in contact_sheet.STAGES},
            snakemake.output.png,
            snakemake.output.page,
            dataset=snakemake.params.dataset,
            title=snakemake.params.title,
            n_cells=snakemake.params.n_cells,
            form=snakemake.params.dataset["form"],
            models=snakemake.params.models,
            scale_cells=snakemake.params.scale_cells,
        )
