from morphobench.fabricate import description


rule fabricate_bucket:
    output:
        directory("results/bucket/{bucket}"),
    conda:
        "../../envs/image.yaml"
    params:
        bucket=lambda wildcards: or_stop(description.read, wildcards.bucket, CONFIG["buckets"]),
        seed=CONFIG["seed"],
    message:
        "Fabricate cells in the layout of {wildcards.bucket}"
    script:
        "../scripts/fabricate_bucket.py"
