# Each target does its own set-up: a .venv from the pinned requirements, the package editable.
.PHONY: demo demo-zeolite demo-oled test slurm-test lint bench clean
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# One thread a process: parallelism comes from jobs and workers.
export OMP_NUM_THREADS ?= 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

$(READY): requirements.txt requirements-no-deps.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --requirement requirements-no-deps.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)
	snakemake --configfile config/quickstart.yaml --workflow-profile profiles/local

demo-zeolite: $(READY)
	snakemake --configfile config/demo_zeolite.yaml --workflow-profile profiles/local

demo-oled: $(READY)
	snakemake --configfile config/demo_oled.yaml --workflow-profile profiles/local

test: $(READY)
	pytest --numprocesses auto --dist loadfile

# On private SLURM clusters, one a test process. Four suit two cores and 8 GB: jobs mostly wait.
slurm-test: $(READY)
	tests/slurm/install.sh
	tests/slurm/run.sh --numprocesses 4 --dist loadfile

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint --configfile config/quickstart.yaml

bench: $(READY)
	python benchmarks/run_all.py

clean:
	rm -rf .venv results .snakemake
