# Everything here makes its own environment in .venv and needs only Python >= 3.11, make, git and a C compiler.
# The editors' tests also need npm and apt: they bring the real editors.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NEOVIM_0.12 := build/neovim-0.12/usr/bin/nvim
NEOVIM_0.10 := build/neovim-0.10/usr/bin/nvim
HELIX := build/helix/usr/bin/hx
EMACS := build/emacs/usr/bin/emacs-nox
FETCH := $(BIN)/python tests/editors/fetch_debian.py

.PHONY: demo test lint vscode test-tpu test-editors test-configurations test-neovim test-vscode picture clean

.venv/.base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("coda-lsp needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/.dev: .venv/.base
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/.base  ## the main job, from keystroke to fill, on the bundled model
	$(BIN)/python scripts/demo.py

test: .venv/.dev lint  ## style, types and every test but the editors'
	$(BIN)/python -m pytest

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check

test-tpu: .venv/.dev  ## a train step compiled for a TPU slice, with the TPU's compiler (no TPU needed)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[tpu]'
	$(BIN)/python -m pytest tests/coda_train/test_plan.py

vscode: .venv/.dev  ## the VS Code extension, with the server's wheel inside: editors/vscode/dist/coda-lsp.vsix
	rm -rf editors/vscode/server
	$(PIP) wheel --quiet --no-deps --wheel-dir editors/vscode/server .
	cd editors/vscode && npm ci --no-audit --no-fund && npm run package

test-editors: test-configurations test-neovim test-vscode  ## everything in editors/, in the real editors

$(NEOVIM_0.12): .venv/.dev
	$(FETCH) build/neovim-0.12 forky usr/bin/nvim neovim
	touch $@

$(NEOVIM_0.10): .venv/.dev
	$(FETCH) build/neovim-0.10 trixie usr/bin/nvim neovim
	touch $@

$(HELIX): .venv/.dev
	$(FETCH) build/helix forky usr/bin/hx hx
	touch $@

$(EMACS): .venv/.dev
	$(FETCH) build/emacs forky usr/bin/emacs-nox emacs-nox elpa-lsp-mode
	touch $@

test-configurations: $(HELIX) $(EMACS)  ## the configurations for other editors: Helix and Emacs fetched from Debian
	CODA_TEST_HELIX=$(abspath $(HELIX)) CODA_TEST_EMACS=$(abspath $(EMACS)) \
		$(BIN)/python -m pytest tests/editors/configurations tests/editors/vscode

test-neovim: $(NEOVIM_0.12) $(NEOVIM_0.10)  ## the Neovim plugin, in a Neovim 0.12 and a 0.10 fetched from Debian
	CODA_TEST_NEOVIM=$(abspath $(NEOVIM_0.12)):$(abspath $(NEOVIM_0.10)) $(BIN)/python -m pytest tests/editors/neovim

test-vscode: vscode  ## the extension in the real VS Code, in a headless Chromium
	tests/editors/vscode/install.sh build/editors/vscode
	node tests/editors/vscode/run.mjs --tools build/editors/vscode --vsix editors/vscode/dist/coda-lsp.vsix \
		--python $(BIN)/python --pictures build/editors/pictures

picture: vscode  ## docs/images/vscode.png, to be made again with each bundled model
	tests/editors/vscode/install.sh build/editors/vscode
	node tests/editors/vscode/picture.mjs build/editors/vscode editors/vscode/dist/coda-lsp.vsix $(BIN)/python \
		examples/account.py 15 docs/images/vscode.png

clean:
	rm -rf .venv build dist
