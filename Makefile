# What one does daily. Nothing has to be installed first but Python 3.11 or newer and make:
#
#     make check       audit sample_configs/ over NumPy, torch and ONNX Runtime
#     make test        the quick tests
#
# The first of them sets up .venv, which takes as long as downloading torch does. Another interpreter, or another
# place for the environment:
#
#     make check PYTHON=python3.12 VENV=env312

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
# Test files are spread over so many processes; JOBS=0 runs them all in one.
JOBS ?= 2
SOAK_ARGS ?=

bin := $(VENV)/bin
pip := $(bin)/python -m pip --disable-pip-version-check
# One stamp for each set of packages; a change of what is to be installed makes them out of date.
installed := $(VENV)/.installed
installed_dev := $(VENV)/.installed-dev
installed_frameworks := $(VENV)/.installed-frameworks

.DEFAULT_GOAL := help
.PHONY: help check check-frameworks test test-slow test-all test-frameworks lint format docs bench soak clean

help:
	@sed -n 's/^## //p' Makefile

## make check      audit sample_configs/ through every backend
check: $(installed)
	$(bin)/gradaudit check sample_configs/

## make test       the quick tests; PYTEST_ARGS="-k saturation" passes options on
test: $(installed_dev)
	$(bin)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

## make test-slow  the tests marked slow
test-slow: $(installed_dev)
	$(bin)/python -m pytest -n $(JOBS) --dist loadfile -m "slow and not frameworks" $(PYTEST_ARGS)

## make test-all   both, in one run
test-all: $(installed_dev)
	$(bin)/python -m pytest -n $(JOBS) --dist loadfile -m "not frameworks" $(PYTEST_ARGS)

## make test-frameworks  the tests that need TensorFlow, JAX, Keras and MXNet, which it installs: 3 GB
test-frameworks: $(installed_frameworks)
	$(bin)/python -m pytest -n $(JOBS) --dist loadfile -m frameworks $(PYTEST_ARGS) tests/frameworks

## make check-frameworks  audit framework_configs/ through every framework, side by side
check-frameworks: $(installed_frameworks)
	$(bin)/gradaudit check framework_configs/

## make lint       ruff (rules and format) and mypy --strict
lint: $(installed_dev)
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy

## make format     rewrite the sources as ruff would have them
format: $(installed_dev)
	$(bin)/ruff check --fix
	$(bin)/ruff format

## make docs       the documentation, in docs/_build/html; a warning is an error
docs: $(installed_dev)
	$(bin)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

## make bench      measure against the peers, side by side
bench: $(installed_dev)
	$(bin)/python -m benchmarks

## make soak       sound losses by the hundred thousand, a fault planted for every tenth; SOAK_ARGS="--cases 5920"
soak: $(installed_dev)
	$(bin)/python -m tests.soak $(SOAK_ARGS)

## make clean      remove the environment and every cache
clean:
	rm -rf "$(VENV)" dist docs/_build docs/reference .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(installed): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "gradaudit needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv "$(VENV)"
	$(pip) install --constraint constraints.txt --editable .
	@touch $@

$(installed_dev): $(installed)
	$(pip) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# MXNet needs an old NumPy, so it gets an interpreter environment of its own; one that is there is kept.
$(installed_frameworks): $(installed_dev)
	$(pip) install --quiet --constraint constraints.txt --editable '.[dev,tensorflow,jax]'
	$(bin)/gradaudit backends install mxnet
	@touch $@
