rule align:
    input:
        "results/download/{dataset}/shard-{shard}",
    output:
        directory("results/align/{dataset}/shard-{shard}"),
    group:
        "cells"
    conda:
        "../../envs/image.yaml"
    params:
        dataset=align_params,
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Bring the cells of {wildcards.dataset}, shard {wildcards.shard}, into one frame in micrometres"
    script:
        "../scripts/align.py"
