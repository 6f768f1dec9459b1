# `make` lists the targets. Each sets up what it needs; nothing is installed outside .venv.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# The first Python that fits; `make setup PYTHON=...` takes another.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(FITS)' 2>/dev/null && echo $$python && break; done)
LOCK := $(PY) -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-emit-index-url --no-emit-find-links $(LOCK_ARGS)
MKDOCS := NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs
# Tests run on all cores, in the order that tests/conftest.py gives them; ARGS="-n 0" runs them one by one.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

.PHONY: help setup test smoke lint types docs docs-serve demo bench chaos pictures train lock image clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(INSTALLED)  ## make .venv with everything that the other targets need

$(INSTALLED): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found; name one: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

test: setup  ## run the tests (ARGS="-k name" for some); those against Kafka need Docker
	$(PY) -m pytest -m "not compose" $(SIDE_BY_SIDE) $(ARGS)

smoke: setup  ## build the image and see `docker compose up` agree
	$(PY) -m pytest -m compose $(ARGS)

lint: setup  ## check style and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: setup  ## check types
	$(PY) -m mypy

docs: setup  ## build the documents into site/; a dead link ends it
	$(MKDOCS) build --strict $(ARGS)

docs-serve: setup  ## show the documents at http://127.0.0.1:8000/ while they are written
	$(MKDOCS) serve --strict $(ARGS)

demo: setup  ## stream and batch side by side on this machine, without Docker
	$(PY) -m demo $(ARGS)

bench: setup  ## measure speed and latency beside other ways to do it (needs Docker)
	$(PY) -m tests.benchmarks $(ARGS)

chaos: setup  ## measure the guarantee while everything goes wrong (ARGS="--seeds 10"; needs Docker)
	$(PY) -m tests.chaos $(ARGS)

pictures: setup  ## make the documents' pictures of the page and the report (10 minutes; needs Docker and Chromium)
	$(PY) -m tests.browser.pictures $(ARGS)

train: setup  ## train the shipped models again
	$(PY) -m models.train

lock: setup  ## write the lock files again (LOCK_ARGS=--upgrade for the newest versions)
	$(LOCK) pyproject.toml --extra xgboost --output-file requirements.lock
	$(LOCK) --group build --output-file requirements-build.lock
	$(LOCK) pyproject.toml --extra test --extra lint --extra bench --extra demo --extra docs \
		--extra models --extra sklearn --extra mlflow --group build --group lock --output-file requirements-dev.lock

image: ## build the Docker image
	docker build --tag tandem-scorer .

clean:  ## remove what the other targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo .cache demo-report site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
