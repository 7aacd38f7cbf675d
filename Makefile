# Every target sets up what it needs in .venv; nothing but Python 3.11+ and make has to be there.

# The newest Python that can make a virtual environment, pyenv's included. PYTHON=… takes another.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 $(HOME)/.pyenv/versions/3.1*/bin/python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.version_info >= (3, 11) and print("%03d" % sys.version_info[1], sys.executable)' 2>/dev/null; \
	done | sort -r | head -n 1 | cut -d' ' -f2)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PARALLEL = $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal
BRAIN = $$($(BIN)/python -m tests.volumes)

.PHONY: demo test test-all lint bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo
	rm -rf demo && mkdir demo
	$(BIN)/daskome plan "$(BRAIN)" --chunks 64 --unit millimeter --channels T1
	$(BIN)/daskome write "$(BRAIN)" demo/brain.ome.zarr --chunks 64 --unit millimeter --channels T1 --quiet
	$(BIN)/daskome verify demo/brain.ome.zarr --pixels --source "$(BRAIN)"
	$(BIN)/daskome info demo/brain.ome.zarr
	$(BIN)/daskome preview demo/brain.ome.zarr demo/brain.png

# In as many processes as there are cores, up to four: each with a test of a server starts its own.
test: $(VENV)/test
	$(PARALLEL)

# With the extended cases; then the slow tests one by one: they need the memory, the ports and the cores for themselves.
test-all: $(VENV)/test
	$(PARALLEL) -m "not slow"
	$(BIN)/python -m pytest -q -m slow --timeout 600

lint: $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# All questions, or some: make bench BENCH="floor peers"; benchmarks/README.md tells what each asks.
BENCH ?=
bench: $(VENV)/bench
	$(BIN)/python -m benchmarks $(BENCH)

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "daskome needs Python 3.11 or newer, with venv (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The brain is MNI152, inside the nilearn wheel; its dependencies are not needed to read it.
$(VENV)/demo: pyproject.toml | $(BIN)/python
	$(PIP) -e ".[demo]" && $(PIP) --no-deps nilearn && touch $@

$(VENV)/test: pyproject.toml | $(BIN)/python
	$(PIP) -e ".[test]" && $(PIP) --no-deps nilearn && touch $@

$(VENV)/lint: pyproject.toml | $(BIN)/python
	$(PIP) -e ".[lint]" && touch $@

# The brain is one of the images that codecs are tried on; other programs get environments of their own, in .peers/.
$(VENV)/bench: pyproject.toml | $(BIN)/python
	$(PIP) -e ".[bench]" && $(PIP) --no-deps nilearn && $(BIN)/python -m benchmarks.peers --install && touch $@
