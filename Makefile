# Each target sets up what it needs: a bare machine with Python >= 3.11 and make is enough.
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
# The plain PyPI build of torch on Linux brings CUDA (gigabytes). For the small CPU build from PyTorch's own index:
#   make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
STAMP := $(VENV)/.penchant

.PHONY: help demo test check bench clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

$(STAMP)-run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Penchant needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[transformer]'
	@touch $@

$(STAMP)-dev: $(STAMP)-run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[transformer,test,bench]'
	@touch $@

demo: $(STAMP)-run  ## made-up market -> model, evaluation, report (out/demo/report.html)
	$(BIN)/penchant demo --out out/demo

test: $(STAMP)-dev  ## all tests
	$(BIN)/python -m pytest

check: $(STAMP)-dev  ## lint, format, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

bench: $(STAMP)-dev  ## the figures of docs/benchmarks.md that need no outside data
	$(BIN)/python benchmarks/run_all.py

clean:  ## remove what make made here
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache
