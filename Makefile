# Each target makes .venv if there is none, installs what it needs and does its job: make demo, make test, ...
# Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench docs clean

help:
	@echo "make demo   certify, refine and guard a network's answers, train a small one, audit S4D; writes runs/demo"
	@echo "make test   the tests"
	@echo "make lint   ruff, pyright and the import contracts"
	@echo "make bench  every script of benchmarks/, in order: hours, as networks are trained"
	@echo "make docs   the pages of docs/, as HTML in site/"
	@echo "make clean  remove caches and built files ($(VENV) and runs/ stay)"

demo: $(VENV)/.installed-plain
	@$(BIN)/wellposed demo

test: $(VENV)/.installed-test
	@$(BIN)/python -m pytest

lint: $(VENV)/.installed-test
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: $(VENV)/.installed-test,peers
	@scripts=$$(grep -l '__main__' benchmarks/*.py); echo "benchmarks:" $$scripts; \
	for script in $$scripts; do echo; echo "== $(BIN)/python $$script"; $(BIN)/python $$script || exit 1; done

docs: $(VENV)/.installed-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet && echo "open site/index.html"

clean:
	@rm -rf build dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# .installed-EXTRAS says that the package and these extras are in the environment ("plain": no extra).
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing wellposed into $(VENV): about a minute, most of it to fetch torch"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e ".$(if $(filter plain,$*),,[$*])"
	@touch $@

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "there is no $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1), wellposed needs 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -f $@; \
		echo "$(PYTHON) cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
