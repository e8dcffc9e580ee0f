# Everything runs in .venv, made on first use; PYTHON names the interpreter it is made with.

PYTHON ?= python3
BIN := .venv/bin

# pyright's wrapper would ask the network whether there is a newer one; it is pinned.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test check fix clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    train the digits on a 2x2 grid of processes"
	@echo "make test    run the tests; ARGS are pytest's, as in ARGS='-k rooms -x'"
	@echo "make check   formatting, lint, types and the import order; changes nothing"
	@echo "make fix     format and mend what can be mended"
	@echo "make clean   remove .venv, caches and build metadata; runs/ stays"
	@echo
	@echo "PYTHON=$(PYTHON) makes .venv; it must be 3.11 or newer"

demo: .venv/.installed
	$(BIN)/python launch.py train --recipe digits-2x2

test: .venv/.installed-dev
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache --no-logo

fix: .venv/.installed-dev
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "$(PYTHON) is missing or older than 3.11; name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: pyproject.toml .venv/.made
	@echo "installing Loci into .venv; torch is large, the first time takes minutes"
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

.venv/.installed-dev: pyproject.toml .venv/.made
	@echo "installing Loci and its tools into .venv; torch is large, the first time takes minutes"
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch .venv/.installed $@
