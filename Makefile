# make help lists the targets. Every target makes the environment it needs, in .venv, from PyPI and constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help train-mnist test check gradcheck graph bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  ARGS="..." passes arguments on: make train-mnist ARGS="--dataset fashion-mnist --seed 1"'

train-mnist: $(VENV)/run ## train LeNet-5 on MNIST: curves, confusion matrix and checkpoint under runs/
	@$(BIN)/python examples/train_mnist.py $(ARGS)

test: $(VENV)/dev ## run the tests
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/dev ## format, lint and types
	@failed=0; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	exit $$failed

gradcheck: $(VENV)/run ## compare every operation with its reference and its gradients with differences
	@$(BIN)/python -m tinygrad_cnn check $(ARGS)

graph: $(VENV)/run ## draw the computation graph of LeNet-5
	@$(BIN)/python -m tinygrad_cnn draw $(ARGS)

bench: $(VENV)/run ## time training steps, convolutions and more, beside PyTorch where it is installed
	@$(BIN)/python -m tinygrad_cnn bench $(ARGS)

clean: ## remove the environment and caches; runs/ and downloaded data stay
	rm -rf $(VENV) .hypothesis .mypy_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are files in the environment: what is installed, since pyproject.toml last changed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tinygrad_cnn needs Python 3.11 or newer; choose one with make PYTHON=/path/to/python3"; exit 1; }
	@echo "making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the package and what it needs (about a minute the first time)"
	@$(PIP) install -c constraints.txt -e '.[graph,plot,vision]'
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the package, what it needs and the tools for development (about a minute the first time)"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/run
