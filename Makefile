# Two commands do all the set-up on a fresh machine:  make demo  and  make test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: help demo test lint types check docs clean

help: ## List the targets.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hemline needs Python 3.11 or newer; found $$($(PYTHON) -V). Say which: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# The light install: no torch; with the service, in which the demo ends.
$(VENV)/.light: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[serve]'
	@touch $@

# Everything: torch, torchvision, timm, lightning and the tools (some 6 GB, a few minutes).
$(VENV)/.full: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[learn,serve,dev]'
	@touch $(VENV)/.light $@

demo: $(VENV)/.light ## Build a catalogue of 1,000 products, search it with street photos, serve it.
	$(BIN)/hemline demo

test: $(VENV)/.full ## Run the tests.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.full ## Check style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.full ## Check types.
	$(BIN)/mypy

check: test lint types ## Everything that CI checks.

docs: $(VENV)/.light ## Write the command reference anew.
	$(BIN)/python docs/generate_cli.py

clean: ## Remove the virtual environment and caches.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
