# `make run` answers questions about the example papers; `make test` runs the tests. Neither needs root.

VENV := .venv
BIN := $(VENV)/bin
LLMQ := $(BIN)/llmq
RESULTS := results
ARGS :=
export VENV PYTHON

.DEFAULT_GOAL := help
.PHONY: help install run test chaos check format lock wheels clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

# A stamp is as old as the last installation: a second make is quick, changed requirements install again.
$(VENV)/.installed-%: requirements/%.txt requirements/build.txt requirements/redis.txt requirements/install.sh pyproject.toml
	@requirements/install.sh $*
	@touch $@

install: $(VENV)/.installed-master  ## .venv with everything llmq needs (PYTHON=... picks the interpreter)
	@echo "llmq is ready: $(LLMQ) --help"

run: install  ## ask the example papers, with the LLM servers of this machine or simulated ones
	@mkdir -p $(RESULTS)
	@simulate=; $(LLMQ) _engine-here || { simulate=--simulate; \
	    echo "No LLM server answers on this machine: the answers below are simulated."; }; \
	$(LLMQ) run examples/papers $$simulate -o $(RESULTS)/results.json -o $(RESULTS)/results.csv $(ARGS)

test: $(VENV)/.installed-dev  ## the tests (ARGS="-k name" picks some)
	@PYTHON=$(BIN)/python tests/run $(ARGS)

chaos: $(VENV)/.installed-dev  ## the long fault tests, about half an hour (ARGS="--only kills")
	@$(BIN)/python tests/fault/chaos.py $(ARGS)

check: $(VENV)/.installed-dev  ## format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## put the code into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:  ## pin the requirements anew (needs uv; ARGS=--upgrade takes the newest)
	requirements/compile.sh $(ARGS)

wheels:  ## has every pinned package a wheel on every platform? (needs uv)
	python3 requirements/check_wheels.py

clean:  ## remove what make made
	rm -rf $(VENV) $(RESULTS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
