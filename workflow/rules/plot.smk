from morphobench.config import figures

# Where the report lists the files of a figure.
LISTED = dict(category=lambda wildcards: figures.category(CONFIG, wildcards.figure))
SHEET = dict(category="Preprocessing", caption="../report/cells.rst")
DRAWING = dict(LISTED, subcategory="The figure", caption="../report/figure.rst")
labels = lambda file: lambda wildcards: {
    "file": file,
    "dataset": figures.figure_of(CONFIG, wildcards.figure)["dataset"],
}


# Any file of config/figures, and any data set: figures/fig2.pdf, figures/fig3.pdf, figures/cellpack.pdf, ...
rule plot_figure:
    input:
        unpack(lambda wildcards: figures.inputs(CONFIG, wildcards.figure)),
    output:
        pdf=report("figures/{figure}.pdf", **DRAWING, labels=labels("vector (PDF)")),
        png=report("figures/{figure}.png", **DRAWING, labels=labels("picture")),
        tables=report(
            directory("results/plot/{figure}"),
            patterns=["{panel}.csv", "{panel}.html"],
            **LISTED,
            subcategory="Tables",
            caption="../report/tables.rst",
            labels=labels("panel {panel}"),
        ),
        summary=report("results/plot/{figure}_summary.html", **DRAWING, labels=labels("summary")),
        warnings=report(
            "results/plot/{figure}_warnings.csv",
            **LISTED,
            subcategory="Tables",
            caption="../report/warnings.rst",
            labels=labels("warnings of its jobs"),
        ),
    wildcard_constraints:
        figure="|".join(figures.names(CONFIG)),
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        described=lambda wildcards: figures.describe(CONFIG, wildcards.figure),
        scale=SCALE,
        names=lambda wildcards: [wildcards.figure, *figures.datasets(CONFIG, wildcards.figure)],
    message:
        "Draw {output.pdf}"
    script:
        "../scripts/plot_figure.py"


# For an archive: the figure, its tables, the workflow, versions, times and licences.
rule plot_crate:
    input:
        pdf="figures/{figure}.pdf",
        png="figures/{figure}.png",
        summary="results/plot/{figure}_summary.html",
        tables="results/plot/{figure}",
        warnings="results/plot/{figure}_warnings.csv",
    output:
        "results/publish/{figure}.crate.zip",
    wildcard_constraints:
        figure="|".join(figures.names(CONFIG)),
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        title=lambda wildcards: figures.describe(CONFIG, wildcards.figure)["title"],
        datasets=lambda wildcards: {
            name: {
                key: CONFIG["datasets"][name].get(key) for key in ("title", "licence", "citation", "source")
            }
            for name in figures.datasets(CONFIG, wildcards.figure)
        },
        names=lambda wildcards: [wildcards.figure, *figures.datasets(CONFIG, wildcards.figure)],
        clone=str(CLONE),
        config=str(CONFIG_ROOT / "config"),
    message:
        "Pack {output}, the RO-Crate of figure {wildcards.figure}"
    script:
        "../scripts/plot_crate.py"


rule plot_cells:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        download=shards("download"),
        align=shards("align"),
        mask=shards("mask"),
        sample=shards("sample"),
    output:
        png=report(
            "results/plot/cells/{dataset}.png", **SHEET, labels={"dataset": "{dataset}", "file": "picture"}
        ),
        page=report(
            "results/plot/cells/{dataset}_sheet.html",
            **SHEET,
            labels={"dataset": "{dataset}", "file": "page"},
        ),
    conda:
        "../../envs/image.yaml"
    params:
        dataset=lambda wildcards: {
            **align_params(wildcards),
            **dataset_params("length_unit")(wildcards),
            "side_um": side_um(wildcards),
        },
        title=lambda wildcards: dataset_config(wildcards)["title"],
        n_cells=CONFIG["plot"]["n_cells"],
        models=intensity_models,
        scale_cells=CONFIG["train"]["scale_cells"],
    message:
        "Draw a contact sheet of the cells of {wildcards.dataset}"
    script:
        "../scripts/plot_cells.py"


rule plot_shapes:
    input:
        unpack(lambda wildcards: figures.shape_inputs(CONFIG, wildcards.dataset)),
    output:
        report(
            "results/plot/shapes/{dataset}.html",
            caption="../report/shapes.rst",
            category="Shapes in 3-D",
            labels={"dataset": "{dataset}"},
        ),
    conda:
        "../../envs/report.yaml"
    params:
        title=lambda wildcards: dataset_config(wildcards)["title"],
        unit=lambda wildcards: dataset_config(wildcards)["length_unit"],
        strata=lambda wildcards: figures.strata(CONFIG, wildcards.dataset),
    message:
        "Make the page of rotatable shapes of {wildcards.dataset}"
    script:
        "../scripts/plot_shapes.py"


# Of what is there: a data set without scores is not made for it.
rule plot_results:
    input:
        **results_tables()[1],
    output:
        "docs/{page}.md",
    wildcard_constraints:
        page="results",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        present=results_tables()[0],
        described={name: figures.describe_results(CONFIG, name) for name in CONFIG["outputs"]["results"]},
        published=CONFIG["published_values"],
        scale=SCALE,
    message:
        "Write what was found on {params.present}"
    script:
        "../scripts/plot_results.py"


# Part of the clone: pictures of the README.
rule plot_picture:
    input:
        "figures/{figure}.png",
    output:
        "workflow/resources/{figure}.png",
    wildcard_constraints:
        figure="|".join(CONFIG["figures"]),
    localrule: True
    conda:
        "../../envs/report.yaml"
    message:
        "Make a picture of {input} for the README"
    script:
        "../scripts/plot_picture.py"
