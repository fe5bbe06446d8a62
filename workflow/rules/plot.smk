rule plot_fig2:
    default_target: True
    input:
        **figure_inputs("cellpack"),
    output:
        pdf=report(
            "figures/fig2.pdf",
            caption="../report/figure.rst",
            category="Figure 2",
            subcategory="The figure",
            labels={"file": "vector (PDF)"},
        ),
        png=report(
            "figures/fig2.png",
            caption="../report/figure.rst",
            category="Figure 2",
            subcategory="The figure",
            labels={"file": "picture"},
        ),
        tables=report(
            directory("results/plot/fig2"),
            patterns=["{panel}.csv"],
            caption="../report/tables.rst",
            category="Figure 2",
            subcategory="Tables",
            labels={"file": "panel {panel}"},
        ),
    log:
        "logs/plot_fig2.log",
    benchmark:
        "benchmarks/plot_fig2.tsv"
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        **figure_params("cellpack"),
        code=code.digest("morphobench.plot.benchmark"),
    message:
        "Draw {output.pdf}"
    script:
        "../scripts/plot_benchmark.py"


use rule plot_fig2 as plot_fig3 with:
    input:
        **figure_inputs("pcna"),
    output:
        pdf=report(
            "figures/fig3.pdf",
            caption="../report/figure.rst",
            category="Figure 3",
            subcategory="The figure",
            labels={"file": "vector (PDF)"},
        ),
        png=report(
            "figures/fig3.png",
            caption="../report/figure.rst",
            category="Figure 3",
            subcategory="The figure",
            labels={"file": "picture"},
        ),
        tables=report(
            directory("results/plot/fig3"),
            patterns=["{panel}.csv"],
            caption="../report/tables.rst",
            category="Figure 3",
            subcategory="Tables",
            labels={"file": "panel {panel}"},
        ),
    log:
        "logs/plot_fig3.log",
    benchmark:
        "benchmarks/plot_fig3.tsv"
    localrule: True
    params:
        **figure_params("pcna"),
        code=code.digest("morphobench.plot.benchmark"),


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
        code=lambda wildcards: code.digest(
            "morphobench.plot.cells", f"morphobench.plot.sheet.{kind_of(wildcards)}"
        ),
    message:
        "Draw a contact sheet of the cells of {wildcards.dataset}"
    script:
        "../scripts/plot_cells.py"
