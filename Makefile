# Everything a new user or CI calls. Each target does its own set-up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Most of the tests' time is waiting: for servers, leases and killed runs.
WORKERS ?= 4
ARGS ?=

.PHONY: help demo test check install deploy lock servers proof bench clean

help: ## Show what can be made
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Vigiles needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@# Without byte code every Prefect process would compile 3 s worth of modules again.
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib flows blocks rules || true
	@touch $@

demo: install ## Run the four flows on a small, real estate (ARGS=--keep leaves the server up)
	@$(BIN)/vigiles demo $(ARGS)

test: install ## Run the whole test suite with coverage gates
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report --include='rules/*' --fail-under=100
	$(BIN)/python -m coverage report --include='flows/*,blocks/*' --fail-under=95

check: install ## Lint, types, imports, docstrings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate --quiet flows blocks rules

deploy: install ## Publish the policies and deploy the four flows to the configured Prefect server
	$(BIN)/vigiles deploy $(ARGS)

servers: ## Install the Debian servers that the tests want (root)
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && command -v redis-server >/dev/null; \
	then echo "PostgreSQL and Redis: found"; \
	else apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql redis-server >/dev/null; fi

proof: install ## Prove the rotations: every fault at every call, the model, 200 random kills (half an hour and more)
	PYTHONPATH=.:tests $(BIN)/python -m proof.rotation $(ARGS)
	VIGILES_PROOF=1 $(BIN)/python -m pytest -q -n $(WORKERS) tests/blocks -k contract

bench: install ## Run the side-by-side benchmarks
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/local_sweep.py
	$(BIN)/python benchmarks/rotation.py

lock: ## Renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock

clean: ## Remove what was made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
