# Two commands do all the set-up on a fresh machine:  make demo  and  make test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST_ARGS ?=
# The versions that were tested. Another platform or Python may need others: make CONSTRAINTS= ...
CONSTRAINTS ?= constraints.txt
PINNED := $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS) --build-constraint $(CONSTRAINTS))
# MiB that the light install may weigh: 500 MB.
MOST ?= 476
# Pythons that `make test-pythons` tries beside PYTHON, where they are installed.
PYTHONS ?= 3.11 3.12 3.13
# A Milvus server for the slow tests, where `make servers` has installed it.
export HEMLINE_MILVUS_SERVER ?= $(wildcard $(CURDIR)/.venv-milvus/bin/milvus-server)
# Two processes of one thread each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

.PHONY: help demo test test-slow test-light test-pythons browser servers lint types check docs lock size clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hemline needs Python 3.11 or newer; found $$($(PYTHON) -V). Say which: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) pip

# The light install: no torch; with the service, in which the demo ends, and what draws its shop.
$(VENV)/.light: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(PINNED) --editable '.[serve,synthetic]'
	@touch $@

# Everything: torch, torchvision, timm, lightning and the tools (some 6 GB, a few minutes).
$(VENV)/.full: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(PINNED) --editable '.[learn,serve,dev]'
	@touch $(VENV)/.light $@

demo: $(VENV)/.light ## Build a catalogue of 1,000 products, search it with street photos, serve it.
	$(BIN)/hemline demo

test: $(VENV)/.full ## Run the tests, without the slow ones.
	$(PYTEST) $(PYTEST_ARGS)

test-slow: $(VENV)/.full ## Run the slow tests: servers, kills and faults by the hundred, long trainings.
	$(PYTEST) -m slow $(PYTEST_ARGS)

test-light: ## Run the tests without torch, on the newest versions that pyproject.toml allows.
	$(PYTHON) .ci/light.py $(PYTEST_ARGS)

test-pythons: ## Run the tests without torch on each Python of PYTHONS that is installed.
	$(PYTHON) .ci/light.py $(addprefix --python ,$(PYTHONS)) $(PYTEST_ARGS)

browser: $(VENV)/.full ## Install Chromium for the tests of the page.
	$(BIN)/python .ci/browser.py

servers: $(VENV)/.full ## Install what the slow tests need for Milvus, Ray and buckets, and the linters of deploy/.
	$(BIN)/python -m pip install --quiet $(PINNED) --editable '.[learn,serve,dev,milvus,ray,remote]' 'moto[server,s3]'
	$(BIN)/python -m pip install --quiet $(PINNED) yamllint check-jsonschema kubernetes-validate
	$(PYTHON) -m venv .venv-milvus
	.venv-milvus/bin/python -m pip install --quiet --no-deps milvus==2.3.5

lint: $(VENV)/.full ## Check style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.full ## Check types.
	$(BIN)/mypy

check: test test-slow lint types ## Everything that is checked on the full install.

docs: $(VENV)/.full ## Write the references of the commands and of the Python API anew.
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python docs/generate_api.py

lock: ## Write constraints.txt anew: the newest versions that pyproject.toml allows.
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet --upgrade pip
	.venv-lock/bin/python .ci/lock.py > constraints.txt.new
	mv constraints.txt.new constraints.txt
	rm -rf .venv-lock

size: ## Measure and try the light install: pip install . into a new environment.
	$(PYTHON) .ci/size.py --most $(MOST)

clean: ## Remove the virtual environments and caches.
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache
