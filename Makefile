# One command each: `make demo` shows what the project does, `make test` shows that it works.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/profiler build-lut --device cpu --space tiny --out $(DEMO)/lut.json --resume
	$(BIN)/search train-supernet --space tiny --data synthetic --minutes 4 --out $(DEMO)/supernet.safetensors --resume
	$(BIN)/search landscape --supernet $(DEMO)/supernet.safetensors --data synthetic -n 40 --out $(DEMO)/landscape.json
	$(BIN)/search run --lut $(DEMO)/lut.json --supernet $(DEMO)/supernet.safetensors --data synthetic \
	  --device cpu --initial 40 --generations 5 --infill 8 --out $(DEMO) --resume

test: lint
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python benchmarks/lookup.py

clean:
	rm -rf $(DEMO) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
