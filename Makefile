# Two commands are enough: `make lab` to read, `make test` to check. Both set everything up by themselves.

PYTHON ?= python3
BIN := .venv/bin

# The stamp is named after the interpreter, so that another PYTHON= makes another environment.
VERSION := $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
SUPPORTED := $(shell "$(PYTHON)" -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null)
READY := .venv/.ready-$(VERSION)

# JupyterLab refuses to run as root unless it is told to, which a container needs.
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)

# .jupyter holds what keeps JupyterLab from asking for news, updates and extensions, here and in the browser tests.
QUIET := JUPYTER_CONFIG_PATH=".jupyter$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}"

# What two commands in one folder must not do at once, .venv and the cache of types, the second waits for.
WAIT := "$(PYTHON)" .ci/alone.py

# Two test workers with one thread each, files in the order given; what measures time runs alone and gets both cores.
PARALLEL := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/pytest --durations=15 -n 2 --dist loadfile --no-loadscope-reorder
ALONE := OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 $(BIN)/pytest --durations=15

.DEFAULT_GOAL := help
.PHONY: help lab test quick check claims notebooks figures bench assets clean interpreter
.NOTPARALLEL:

help: ## say what each target does
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{ printf "  make %-9s  %s\n", $$1, $$2 }'
	@echo "PYTHON=... picks the interpreter (3.11 or newer); ARGS=... is passed on by lab."

lab: $(READY) ## open the notebooks in JupyterLab, on this machine only
	$(QUIET) $(BIN)/jupyter lab --ip=127.0.0.1 $(ROOT_FLAG) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

test: check ## run everything: lint, types, tests, claims, browser, notebooks
	$(PARALLEL) --nbval-lax --nbval-current-env --nbval-cell-timeout=120 notebooks/ tests/ --ignore=tests/browser
	$(ALONE) tests/browser/

quick: check ## a minute: lint, types, a core of tests and those that touch what changed since the last commit
	@tests=$$($(BIN)/python -m tests.changed) && set -x && $(PARALLEL) $$tests

check: $(READY) ## lint and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(WAIT) .venv/.types.lock "Another command checks the types in this folder; waiting for it." $(BIN)/mypy

claims: $(READY) ## run the claims' tests and write CLAIMS.md from what they measured
	$(PARALLEL) --write-claims tests/claims/

notebooks: $(READY) ## execute the notebooks again, as they are committed; ONLY=04 for those with 04 in their names
	OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 $(BIN)/python -m tests.notebooks.execute $(ONLY)

figures: $(READY) ## draw the README's pictures again
	$(BIN)/python figures/make.py

bench: $(READY) ## run every benchmark
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

assets: $(READY) ## train the shipped checkpoints again
	$(BIN)/python -m tutorial_lib.recipes

clean: ## remove the environment and every cache
	rm -rf .venv .venv.lock .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

interpreter:
	@: $(if $(VERSION),,$(error PYTHON=$(PYTHON) does not run here; name a Python of 3.11 or newer, as in: make lab PYTHON=/path/to/python3.11))
	@: $(if $(filter True,$(SUPPORTED)),,$(error PYTHON=$(PYTHON) is Python $(VERSION), and 3.11 or newer is needed, as in: make lab PYTHON=/path/to/python3.11))

ifdef ALONE_HERE
$(READY): pyproject.toml constraints.txt | interpreter
	@echo "Making .venv; the first time takes a few minutes."
	@rm -f .venv/.ready-*
	"$(PYTHON)" -m venv $(if $(wildcard .venv/lib/python$(VERSION)),,--clear) .venv
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@
else
$(READY): pyproject.toml constraints.txt | interpreter
	@$(WAIT) .venv.lock "Another command makes .venv in this folder; waiting for it." $(MAKE) -s ALONE_HERE=1 $@
endif
