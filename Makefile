# Every target works as the first command after a clone: it sets up what it needs.
# Needs make and a Python from 3.11 to 3.13; name one with `make lab PYTHON=/path/to/python`.

SHELL := /bin/bash
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python,$(shell \
	$(p) -c '$(FITS)' 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# A notebook runs in its own folder, so a relative path would not lead there. (`abspath` would
# break a path at its spaces.)
absolute = $(if $(filter /% ~%,$(firstword $(1))),$(1),$(CURDIR)/$(1))
ifdef AE_MNIST
export AE_MNIST
override AE_MNIST := $(call absolute,$(value AE_MNIST))
endif
ifdef AE_RUNS_DIR
export AE_RUNS_DIR
override AE_RUNS_DIR := $(call absolute,$(value AE_RUNS_DIR))
endif

help:  ## print these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 21

lab: $(READY)  ## open JupyterLab at the first notebook
	$(BIN)/jupyter lab --KernelManager.transport_encryption=auto notebooks/01_data.ipynb

course: $(READY)  ## run all notebooks in order into build/course/
	$(BIN)/python tools/course.py run --out build/course

# A file is one worker's alone. Browsers often wait, so three workers fit on two cores.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder --durations=15

test: $(READY)  ## test the package, its widgets in a browser, the sweep, the site; and lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -n 3 tests ae_helpers tools --ignore=tests/test_papermill.py

test-notebooks: $(READY)  ## test every notebook, as it stands and with other parameters
	$(PYTEST) -n 2 --nbval --nbval-current-env notebooks tests/test_papermill.py

bench: $(READY)  ## run the benchmarks
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

notebooks: $(READY)  ## execute the notebooks in place and clean their outputs
	$(BIN)/python tools/course.py refresh

site: $(READY)  ## build the course as a static site into build/site/
	$(BIN)/python tools/make_site.py

handout: $(READY)  ## print the questions and figures as build/handout.pdf
	$(BIN)/python tools/handout.py

lock: $(READY)  ## renew requirements.lock and environment.yml from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra test --extra site --universal --python-version 3.11 \
		--no-header --no-annotate --no-strip-extras --upgrade --generate-hashes --output-file requirements.lock
	{ sed '/- pip:/q' environment.yml; \
		sed -nE 's/^([a-z].*) \\$$/      - \1/p' requirements.lock; echo "      - -e ."; } > $(VENV)/new.yml
	mv $(VENV)/new.yml environment.yml

$(READY): requirements.lock pyproject.toml
	@python="$(PYTHON)"; "$$python" -c '$(FITS)' 2>/dev/null || { \
		echo "$${python:-python3} is no Python from 3.11 to 3.13: install one, or name it with PYTHON=..."; \
		exit 1; }; \
	$(BIN)/python -c '$(FITS)' 2>/dev/null || "$$python" -m venv --clear $(VENV)
	@echo "Setting up the course in $(VENV): about two minutes and 3 GB, once."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: help lab course test test-notebooks bench notebooks site handout lock
