from morphobench.fabricate import description


def of_bucket(wildcards):
    """Params function: what is fabricated."""
    return or_stop(description.read, wildcards.bucket)


rule fabricate_bucket:
    output:
        directory("results/bucket/{bucket}"),
    log:
        "logs/fabricate_bucket/{bucket}.log",
    benchmark:
        "benchmarks/fabricate_bucket/{bucket}.tsv"
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        bucket=of_bucket,
        seed=CONFIG["seed"],
    message:
        "Fabricate cells in the layout of {wildcards.bucket}"
    script:
        "../scripts/fabricate_bucket.py"
