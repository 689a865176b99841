# Every task of this project. Hooks, CI and people call these and nothing else.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Nothing phones home.
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# Let Python keep the bytecode of what it imports; a start of TensorFlow is 8 s faster with it.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
READY := .venv/.ready
TRIPS := examples/taxi/data/trips.csv
DIGITS := examples/digits/data
# More arguments for the task: make test ARGS="-k schema", make lock ARGS=--upgrade
ARGS ?=
# A file of tests runs in one process, its fixtures are made once; files share the cores.
PARALLEL := -n auto --dist loadfile

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  Variables: PYTHON=/path/to/python3.11, ARGS="more arguments for the task"'

.PHONY: run
run: $(READY) $(TRIPS) ## Train the taxi example, serve it, print one prediction
	$(BIN)/benison train examples/taxi $(ARGS)
	$(BIN)/benison serve taxi --once

.PHONY: digits
digits: $(READY) $(DIGITS) ## Train the digits example, on images
	$(BIN)/benison train examples/digits $(ARGS)

.PHONY: test
test: $(READY) ## Run the tests, without the slow ones
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

.PHONY: test-all
test-all: $(READY) ## Run every test
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: check
check: $(READY) ## Check style, types, the architecture and the generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mlproject.config_docs --check

.PHONY: format
format: $(READY) ## Format the code and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: ui
ui: $(READY) ## Open the MLflow and Prefect pages of this machine's runs
	$(BIN)/benison ui $(ARGS)

.PHONY: lock
lock: | $(READY) ## Resolve pyproject.toml into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra bigquery --extra dask --extra kubernetes --extra dev --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 --generate-hashes --no-header --quiet \
	  -o requirements.lock $(ARGS)

.PHONY: clean
clean: ## Remove caches and build leftovers; .venv and the results of runs stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	rm -rf src/*.egg-info
	find . -path ./.venv -prune -o -type d -name __pycache__ -print0 | xargs -0 rm -rf

# The environment: complete or absent, made anew from the lock when the lock changes.
$(READY): requirements.lock pyproject.toml scripts/bootstrap.sh
	@PYTHON="$(PYTHON)" scripts/bootstrap.sh

$(DIGITS): | $(READY)
	$(BIN)/python examples/digits/generate.py

$(TRIPS): | $(READY)
	$(BIN)/python examples/taxi/generate.py --rows 15000 --seed 1 --out $@
