# `make demo` runs the main job on the embedded chain; `make test` passes the tests. Both need Python 3.11 or newer only.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_ARGS ?= -max_total_time=60

# Every process of the server would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint bench fuzz wheel clean

demo: .venv/.installed
	@$(BIN)/tarazy demo $(DEMO_ARGS)

test: lint
	$(BIN)/pytest $(TEST_ARGS)

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.installed
	$(BIN)/tarazy bench gateway $(BENCH_ARGS)

fuzz: .venv/.installed-test
	@for target in codec session proxy; do $(BIN)/python -m tests.fuzz $$target $(FUZZ_ARGS) || exit 1; done

wheel: .venv/.installed
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf .venv build dist .demo .fuzz

.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tarazy needs Python 3.11 or newer; name one with make PYTHON=…"; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: .venv/.created pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/.installed-test: .venv/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@
