# make test   installs into .venv, then lints, checks types and tests
# make demo   installs into .venv, then goes from made recordings to a fused answer and an engine
# make docs   builds the documentation into site/; make docs-serve shows it
# make coverage   tests, and says which lines and branches they do not reach
# make test-lowest   tests with the lowest versions that pyproject.toml allows, in .venv-lowest (gigabytes: torch with CUDA)
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= test,docs,tensorrt-rtx,video
BIN := $(VENV)/bin
PYTEST := -m pytest -n auto --dist worksteal
KERNELS := kernels-ntu60 kernels-kinetics kernels-nw-ucla

.PHONY: install test coverage test-lowest lint $(KERNELS) demo docs docs-serve bench clean

install: $(BIN)/.installed

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # pip would do it on one core
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Compiled in one process before several want them, which takes a third of the time.
$(KERNELS): kernels-%: install
	NUMBA_ENABLE_CUDASIM=1 $(BIN)/python tests/helpers/compile_kernels.py $*

test: install
	$(MAKE) -j 2 lint $(KERNELS)
	$(BIN)/python $(PYTEST)

coverage: $(KERNELS)
	$(BIN)/coverage run $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=miss

test-lowest:
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --python .venv-lowest/bin/python --resolution lowest-direct -e '.[$(EXTRAS)]'
	.venv-lowest/bin/python $(PYTEST)

demo: install
	rm -rf demo_out
	$(BIN)/python cli.py demo --out demo_out

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs-serve: install
	$(BIN)/python -m mkdocs serve

bench: install
	$(BIN)/python cli.py bench all

clean:
	rm -rf $(VENV) .venv-lowest build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
