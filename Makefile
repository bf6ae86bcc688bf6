# Two commands do everything: `make demo` runs the main job, `make test` passes the tests. Both set up .venv first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ACME   := $(shell find tests/fixtures/zoo_acme -name '*.py' -o -name pyproject.toml 2>/dev/null | grep -v build/)

.PHONY: help demo test test-slow model-table compression-table bench lint types layers tests wheel docs clean

help:
	@echo "make demo       set up and run the main job: zoo run quickstart"
	@echo "make test       set up and run lint, types, layers, tests, wheel and docs checks"
	@echo "make test-slow  the tests that take over 20 s each"
	@echo "make model-table   what every model goes through, written to docs/model_checks.md; MODELS='video/*' takes some"
	@echo "make compression-table   what every strategy does to every kind of model, written to docs/compression_checks.md"
	@echo "make bench      speed against peers and hand-written code"
	@echo "make docs       build the documentation into site/"

demo: $(VENV)/.demo
	$(BIN)/zoo run quickstart

test: lint types layers tests wheel docs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[export]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/.demo

$(VENV)/.acme: $(VENV)/.dev $(ACME)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable tests/fixtures/zoo_acme
	@touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

tests: $(VENV)/.dev $(VENV)/.acme
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow and not gpu"

test-slow: $(VENV)/.dev $(VENV)/.acme
	$(BIN)/python -m pytest -m "slow"

model-table: $(VENV)/.dev
	$(BIN)/python -m tests.model_table $(foreach pattern,$(MODELS),'$(pattern)')

compression-table: $(VENV)/.dev
	$(BIN)/python -m tests.compression_table $(foreach pattern,$(STRATEGIES),'$(pattern)')

wheel: $(VENV)/.dev
	$(BIN)/python tests/wheel_contents.py

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev $(VENV)/.acme
	for file in tests/benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
