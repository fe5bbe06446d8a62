# morphobench: two commands on a fresh machine.
#   make demo    raw shapes to figures/fig2.pdf and report.html at demo scale
#   make test    every test
# Both set up .venv first when it is missing or its pins changed; the second time that costs nothing.

SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CORES ?= 2
DATASET ?= cellpack
SHAPE_MODELS := $(foreach kind,seg sdf,classical_image_$(kind) rotation_invariant_image_$(kind)) rotation_invariant_pointcloud_sdf
# The models of figure 2; other trainings by the same names, of folds cellpack/seed-42/fold-0/...
WEIGHTS ?= $(addprefix cellpack/seed-42/,classical_image rotation_invariant_image classical_pointcloud \
    rotation_invariant_pointcloud rotation_invariant_pointcloud_jitter)
WEIGHTS_PROFILE := --profile profiles/workstation
WORKSTATION := figures/fig2.pdf figures/fig8.pdf figures/fig9.pdf results/plot/shapes/cellpack.html
CELL_MODELS := classical_pointcloud rotation_invariant_pointcloud_intensity rotation_invariant_image
FIGURES := $(patsubst config/figures/%.yaml,figures/%.pdf,$(wildcard config/figures/*.yaml))
SHAPE_PAGES := $(foreach file,$(wildcard config/figures/*.yaml),results/plot/shapes/$(or $(shell sed -n 's/^dataset: //p' $(file)),$(basename $(notdir $(file)))).html)
DATASET_FIGURES := $(patsubst config/datasets/%.yaml,figures/%.pdf,$(wildcard config/datasets/*.yaml))
# The report of a run, by the same command.
WITH_REPORT := --report report.html --report-after-run
PINS := requirements.lock.txt requirements-numpy2.lock.txt workflow/setup.sh workflow/python.sh
# By pins and path: a .venv that was moved or copied with its clone starts programs of the old one.
STAMP := .venv/.ready-$(shell cat $(PINS) 2>/dev/null | sha256sum | cut -c1-16)-$(shell pwd -P | sha256sum | cut -c1-8)
# PYTHONPATH lets a script job import the package from src; a clone needs no installation of its own.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src
# Many short processes: byte code and digests of the source are kept, also where the shell forbids it, as in images.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup new freeze demo workstation weights demo-weights demo-cells demo-shapes bucket publish figures report results check-data check-statistics status plan test test-long test-figures \
    test-cluster test-envs test-walk lint bench-pack bench-overhead \
    bench-preprocess bench-models bench-convergence bench-training profile on-gpu bench-score bench-retrieval bench-download bench-growth clean
.PHONY: parameters steerable-basis
help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with every pinned package (about three minutes, once)
$(STAMP): $(PINS)
	@state=0
	bash workflow/place.sh "$@" || state=$$?
	if [ $$state = 3 ]; then bash workflow/setup.sh "$@"; else exit $$state; fi

demo: $(STAMP)  ## figures/fig2.pdf and report.html at demo scale, in about five minutes
	@bash workflow/unlock.sh
	snakemake --profile profiles/demo --cores $(CORES) $(WITH_REPORT) -- figures/fig2.pdf results/plot/shapes/cellpack.html
	echo "Done: figures/fig2.pdf, the tables behind it in results/plot/fig2, and report.html (open it in a browser)."

workstation: $(STAMP)  ## models that have converged on cellPACK, red blood cells and adrenal glands: figures 2 and 8, in hours
	@bash workflow/unlock.sh
	snakemake --profile profiles/workstation --cores $(CORES) $(WITH_REPORT) -- $(WORKSTATION)
	snakemake --profile profiles/workstation --cores $(CORES) --forcerun plot_results -- docs/results.md
	echo "Done: $(WORKSTATION)."

weights: $(STAMP)  ## train WEIGHTS=dataset/seed-42/model ... at workstation scale, into workflow/weights, in hours
	@bash workflow/unlock.sh
	snakemake $(WEIGHTS_PROFILE) --cores $(CORES) $(WEIGHTS:%=results/train/weights/%.pt)
	for name in $(WEIGHTS); do
	    mkdir -p workflow/weights/$$(dirname $$name)
	    cp results/train/weights/$$name.pt results/train/weights/$$name.json workflow/weights/$$(dirname $$name)
	done
	python -m pytest -q tests/models/test_shipped_weights.py

demo-weights: WEIGHTS := $(foreach set,npm1 npm1_64_res other_polymorphic npm1_perturb,$(foreach \
    family,classical rotation_invariant,$(set)/seed-42/$(family)_image_sdf))
demo-weights: WEIGHTS_PROFILE := --profile profiles/demo --configfile config/many_cells.yaml --config scale=demo
demo-weights: weights  ## weights that the demo's figures 5 to 7 start from, of more fabricated cells; a clone of its own

demo-cells: $(STAMP)  ## a real field of view to points, cubes, a contact sheet and embeddings, in two minutes
	@bash workflow/unlock.sh
	snakemake --profile profiles/demo --cores $(CORES) results/plot/cells/hipsc_nuclei.png \
	    $(foreach model,$(CELL_MODELS),results/embed/hipsc_nuclei/$(model)/seed-42/identity.parquet)
	echo "Done: results/plot/cells/hipsc_nuclei.png, and the embeddings in results/embed/hipsc_nuclei."

demo-shapes: $(STAMP)  ## real segmented shapes to meshes, distances, a contact sheet and embeddings of five models
	@bash workflow/unlock.sh
	snakemake --profile profiles/demo --cores $(CORES) results/plot/cells/adrenal.png \
	    $(foreach model,$(SHAPE_MODELS),results/embed/adrenal/$(model)/seed-42/identity.parquet)
	echo "Done: results/plot/cells/adrenal.png, and the embeddings in results/embed/adrenal."

bucket: $(STAMP)  ## fabricated copies of the published raw data in results/bucket, in half a minute
	@bash workflow/unlock.sh
	snakemake --profile profiles/demo --cores $(CORES) $(patsubst config/buckets/%.yaml,results/bucket/%,$(wildcard config/buckets/*.yaml))
	echo "Done: results/bucket. The demo's data sets pcna, other_punctate, npm1, ... are read from there."

publish: $(STAMP)  ## results of the demo on DATASET=cellpack as a folder for others to start from
	@bash workflow/unlock.sh
	snakemake --profile profiles/demo --cores $(CORES) results/publish/$(DATASET)
	echo "Done: results/publish/$(DATASET); to start from it, see its published.yaml and config/README.md."

freeze: $(STAMP)  ## keep split, weights and embeddings of DATASET=mine for when cells are added (`freeze: true`)
	@if [ -e results/frozen/$(DATASET) ]; then
	    echo "results/frozen/$(DATASET) is there already. To freeze anew, remove it first." >&2; exit 1
	fi
	bash workflow/unlock.sh
	snakemake --cores $(CORES) results/frozen/$(DATASET)
	echo "Done: results/frozen/$(DATASET). Set freeze: true in config/datasets/$(DATASET).yaml, then add cells."

figures: $(STAMP)  ## every figure of config/figures and its page of shapes, at the scale that results/ holds
	@bash workflow/unlock.sh
	snakemake --keep-going --cores $(CORES) $(WITH_REPORT) -- $(FIGURES) $(SHAPE_PAGES)

results: $(STAMP)  ## docs/results.md from the scores that are there, at the scale that results/ holds
	@bash workflow/unlock.sh
	snakemake --cores $(CORES) --forcerun plot_results -- docs/results.md

report: $(STAMP)  ## report.html of every figure, page of shapes and contact sheet that is there
	@made=$$(ls $(FIGURES) $(DATASET_FIGURES) results/plot/shapes/*.html results/plot/cells/*.png 2>/dev/null || true)
	if [ -z "$$made" ]; then echo "There is no figure yet: make demo, or make figures." >&2; exit 1; fi
	snakemake --report report.html $$made

test: $(STAMP)  ## the tests, about 20 minutes: two at a time, then those that run the workflow itself
	OMP_NUM_THREADS=1 python -m pytest \
	    -m "not end_to_end and not figures and not cluster and not envs and not walk and not long" \
	    --numprocesses 2 --dist loadfile
	python -m pytest -m "end_to_end and not long" --numprocesses 2 tests/end_to_end

test-long: $(STAMP)  ## the tests that take longest one by one: real data, several processes, other entries of the workflow
	OMP_NUM_THREADS=1 python -m pytest -m "long and not end_to_end" --numprocesses 2 --dist loadfile
	python -m pytest -m "long and end_to_end" --numprocesses 2 tests/end_to_end

test-figures: $(STAMP)  ## the demo and its six figures from raw data, beside golden tables, in about twenty minutes
	python -m pytest -m figures

test-cluster: $(STAMP)  ## the workflow on a real SLURM of two nodes on this machine; needs root and Debian's packages
	python -m pytest -m cluster -rs tests/cluster

test-walk: $(STAMP)  ## the README's walk-through of one's own cells, twice, in a quarter of an hour
	python -m pytest -m walk tests/end_to_end/test_walk.py

test-envs: $(STAMP)  ## every environment of envs/ made anew, and results kept in a bucket; needs the package index
	python -m pytest -m envs -rs tests/envs

new: $(STAMP)  ## NAME=mine FROM=folder_or_table [WEIGHTS_FROM=data_set_or_folder]: your own data, config/datasets/mine.yaml
	@python -m morphobench.new "$(NAME)" "$(FROM)" "$(WEIGHTS_FROM)"

check-data: $(STAMP)  ## does the place of DATASET=pcna (or all) look as it should? headers alone, in under a minute each
	@python -m morphobench.jobs.check_data $(DATASET)

check-statistics: $(STAMP)  ## simulate every interval and p value, write the tables of docs/statistics.md; some minutes
	OMP_NUM_THREADS=1 python tests/statistics/check_statistics.py

parameters: $(STAMP)  ## docs/parameters.md, the table of every key, from the schemas
	python -m morphobench.config.parameters

steerable-basis: $(STAMP)  ## sample the kernels of the image models with escnn and write their table; Python 3.11
	python -m morphobench.models.image.escnn_basis

status: $(STAMP)  ## what the run in this folder is doing: jobs, failures, cells, trainings, time left
	@python -m morphobench.jobs.status

plan: $(STAMP)  ## what each figure costs at paper scale: jobs, core hours, GPU hours, disk
	@python -m morphobench.jobs.plan

lint: $(STAMP)  ## formats, lint, schemas, dry-run
	ruff format --check src tests workflow
	ruff check src tests workflow
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	snakemake --dry-run --quiet all --config scale=paper -- $(FIGURES) $(SHAPE_PAGES)

bench-pack: $(STAMP)  ## time the packing and the imports
	python tests/speed/bench_pack.py

bench-overhead: $(STAMP)  ## time what a job does before its science starts, and the plans
	python tests/speed/bench_overhead.py

bench-preprocess: $(STAMP)  ## time a cell from its crop to points and cube
	python tests/speed/bench_preprocess.py

bench-models: $(STAMP)  ## time the models beside the published formulation
	python tests/speed/bench_models.py

bench-convergence: $(STAMP)  ## CPU seconds until models reconstruct, published recipe beside ours; an hour
	snakemake --profile profiles/demo --cores $(CORES) results/sample/cellpack/manifest.parquet \
	    results/sample/adrenal/manifest.parquet
	python tests/speed/bench_convergence.py

bench-training: $(STAMP)  ## time trainings and encodings at paper settings, 129 voxels among them; minutes on a GPU, hours without
	python tests/speed/bench_training.py

profile: $(STAMP)  ## what a training step of KINDS="model/dataset ..." spends its work on, by operator
	python tests/speed/profile_step.py $(KINDS)

on-gpu: $(STAMP)  ## everything that waits for a GPU, in about ten minutes on one: speeds, kernels, tests; results/on_gpu
	bash tests/gpu/on_gpu.sh

bench-retrieval: $(STAMP)  ## time drug retrieval beside the published procedure and copairs
	python tests/speed/bench_retrieval.py

bench-score: $(STAMP)  ## time the scores beside the published procedure, and measure their memory
	python tests/speed/bench_score.py

bench-download: $(STAMP)  ## time fetching beside boto3, and the indexing of large manifests
	python tests/speed/bench_download.py

bench-growth: $(STAMP)  ## seconds and memory of each stage by the number of cells, with the exponent; --long in tests/speed
	python tests/speed/bench_growth.py

clean:  ## remove everything that the workflow made; the environment, what was fetched and what was frozen stay
	find results -mindepth 1 -maxdepth 1 ! -name .gitkeep ! -name cache ! -name frozen -exec rm -rf {} +
	rm -rf figures logs benchmarks report.html .snakemake
