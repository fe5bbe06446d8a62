# morphobench: two commands on a fresh machine.
#   make demo    raw shapes to figures/fig2.pdf and report.html at demo scale
#   make test    every test
# Both set up .venv first when it is missing or its pins changed; the second time that costs nothing.

SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CORES ?= 2
STAMP := .venv/.ready-$(shell cat requirements.lock.txt workflow/setup.sh 2>/dev/null | sha256sum | cut -c1-16)
# PYTHONPATH lets a script job import the package from src; a clone needs no installation of its own.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src

.PHONY: help setup demo report test lint clean bench-pack
help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with every pinned package (about three minutes, once)
$(STAMP): requirements.lock.txt workflow/setup.sh
	bash workflow/setup.sh "$@"

demo: $(STAMP)  ## figures/fig2.pdf and report.html at demo scale
	snakemake --profile profiles/demo --cores $(CORES) figures/fig2.pdf
	snakemake --profile profiles/demo --cores $(CORES) report.html

test: $(STAMP)  ## every test
	python -m pytest

lint: $(STAMP)  ## formats, lint, schemas, dry-run
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	snakemake --dry-run --quiet all

clean:  ## remove everything that the workflow made; the environment stays
	rm -rf results/*/ figures logs benchmarks report.html .snakemake
