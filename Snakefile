"""morphobench: from raw shapes and images to the figures. A table of contents; the rules are in workflow/rules."""

from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


# Before the rules: given after them, Snakemake would take what it has for each rule's outputs in a storage away again.
wildcard_constraints:
    dataset=r"[a-z0-9_]+",
    model=r"[a-z0-9_]+",
    # Of a data set with folds a training is 42/fold-0, its folder seed-42/fold-0.
    seed=r"\d+(/fold-\d+)?",
    fold=r"fold-\d+",
    shard=r"\d+",
    bucket=r"[A-Za-z0-9_]+",
    sweep=r"[A-Za-z0-9_]+",
    point=r"p[0-9a-f]{8}",


include: "workflow/rules/scale.smk"


if SCALE != "paper":

    configfile: f"config/{SCALE}.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/decoding.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/fabricate.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/align.smk"
include: "workflow/rules/mask.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/plot.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/outputs.smk"


for declared in workflow.rules:
    if declared.script and is_own(declared):
        complete(declared)


onstart:
    if workflow.executor_plugin.name == "slurm":
        submitted = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
        or_stop(slurm.check, {job.resources.get("slurm_partition") for job in submitted} - {None})
    else:
        # Its limit of jobs per second wakes the scheduler once more in every second for each job that has ended
        # (Snakemake 9.27): after 300 jobs it takes half a core, and nothing is submitted here that needs a limit.
        workflow.scheduler.job_rate_limiter = None
    or_stop(configuration.remember_scale, SCALE, SCALE_MARKER)


def say_warnings():
    """Say once, at the end, what the jobs of this run warned of: their lines lie far up by now."""
    if text := warned.summary(STARTED):
        print(text, file=sys.stderr)


onsuccess:
    say_warnings()


onerror:
    say_warnings()
