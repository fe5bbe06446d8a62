# One rule per figure, plot_fig2 to plot_fig7: each file of config/figures makes one.
for figure in CONFIG["figures"]:

    rule:
        name:
            f"plot_{figure}"
        input:
            **figure_inputs(figure),
        output:
            pdf=report(f"figures/{figure}.pdf", **figure_report(figure, "The figure", file="vector (PDF)")),
            png=report(f"figures/{figure}.png", **figure_report(figure, "The figure", file="picture")),
            tables=report(
                directory(f"results/plot/{figure}"),
                patterns=["{panel}.csv", "{panel}.html"],
                **figure_report(figure, "Tables", file="panel {panel}"),
            ),
        log:
            f"logs/plot_{figure}.log",
        benchmark:
            f"benchmarks/plot_{figure}.tsv"
        localrule: True
        conda:
            "../../envs/report.yaml"
        resources:
            **LIGHT,
        params:
            **figure_params(figure),
        message:
            "Draw {output.pdf}"
        script:
            "../scripts/plot_figure.py"


rule plot_cells:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        download=shards("download"),
        align=shards("align"),
        mask=shards("mask"),
        sample=shards("sample"),
    output:
        report(
            "results/plot/cells/{dataset}.png",
            caption="../report/cells.rst",
            category="Preprocessing",
            labels={"dataset": "{dataset}"},
        ),
    log:
        "logs/plot_cells/{dataset}.log",
    benchmark:
        "benchmarks/plot_cells/{dataset}.tsv"
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        kind=kind_of,
        dataset=of_cells,
        title=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["title"],
        n_cells=CONFIG["plot"]["n_cells"],
    message:
        "Draw a contact sheet of the cells of {wildcards.dataset}"
    script:
        "../scripts/plot_cells.py"


rule plot_shapes:
    input:
        unpack(shapes_of),
    output:
        report(
            "results/plot/shapes/{dataset}.html",
            caption="../report/shapes.rst",
            category="Shapes in 3-D",
            labels={"dataset": "{dataset}"},
        ),
    log:
        "logs/plot_shapes/{dataset}.log",
    benchmark:
        "benchmarks/plot_shapes/{dataset}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        title=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["title"],
        strata=lambda wildcards: strata_names(wildcards.dataset),
    message:
        "Make the page on which shapes of {wildcards.dataset} are turned"
    script:
        "../scripts/plot_shapes.py"
