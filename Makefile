# Everything here makes its own environment in .venv and needs only Python >= 3.11, make, git and a C compiler.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

.venv/.base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("coda-lsp needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/.dev: .venv/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/.base  ## the main job, from keystroke to fill, on the bundled model
	$(BIN)/python scripts/demo.py

test: .venv/.dev lint  ## style, types and every test
	$(BIN)/python -m pytest

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check

clean:
	rm -rf .venv build dist
