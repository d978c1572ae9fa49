# `make demo` and `make test` set up whatever is missing; a second run is quick.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

BIN := .venv/bin
VENV := .venv/ready
SERVERS := .local/setup-
CHECK ?=
FLAVOUR ?= mariadb
PYTEST_ARGS ?=
SAMPLE ?=
NOT_MYSQL := $(if $(filter-out 0,$(SAMPLE)), and not mysql)
NOT_ELSEWHERE := not (matrix or guards or faults or repairs or convergence or fidelity)
FLAVOURS := $(if $(NOT_MYSQL),,$(SERVERS)mixed)

.PHONY: help setup demo test test-faults test-guards test-repairs test-mysql test-matrix
.PHONY: test-convergence test-fidelity
.PHONY: lint format types clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 14

$(VENV): setup.py pyproject.toml constraints.txt deploy/make-venv
	deploy/make-venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(SERVERS)%: deploy/local/pom.xml deploy/local/jars.sha256 | $(VENV)
	$(BIN)/python deploy/local/stack setup --flavour $*
	mkdir -p $(@D) && touch $@

setup: $(VENV) $(SERVERS)mariadb ## Python environment, and the downloads for real servers

demo: $(VENV) ## two servers that become equal, with Dagster; until Ctrl-C. CHECK=1: unattended
	@$(BIN)/python deploy/demo --flavour $(FLAVOUR) $(if $(filter-out 0,$(CHECK)),--check)

test: setup ## unit tests, and integration on MariaDB
	$(BIN)/pytest -m 'not mysql and $(NOT_ELSEWHERE)' $(PYTEST_ARGS)

test-faults: setup $(FLAVOURS) ## killed runs, lost connections, two runs at once. SAMPLE=1: MariaDB only
	SAMPLE=$(SAMPLE) $(BIN)/pytest -m 'faults$(NOT_MYSQL)' $(PYTEST_ARGS)

test-guards: setup $(FLAVOURS) ## bad input and preflight. SAMPLE=1: MariaDB only
	$(BIN)/pytest -m 'guards$(NOT_MYSQL)' $(PYTEST_ARGS)

test-repairs: setup $(FLAVOURS) ## settle, replay, preview, verify, repair, quarantine. SAMPLE=1: MariaDB only
	$(BIN)/pytest -m 'repairs and not matrix$(NOT_MYSQL)' $(PYTEST_ARGS)

test-mysql: setup $(SERVERS)mixed ## integration on MySQL
	$(BIN)/pytest -m 'mysql and $(NOT_ELSEWHERE)' $(PYTEST_ARGS)

test-matrix: setup $(SERVERS)mixed ## every flavour with every mark; long
	$(BIN)/pytest -m matrix $(PYTEST_ARGS)

test-convergence: setup $(FLAVOURS) ## both sites end equal, in a model and on servers; SAMPLE=1: minutes
	SAMPLE=$(SAMPLE) $(BIN)/pytest -m 'convergence$(NOT_MYSQL)' $(PYTEST_ARGS)

test-fidelity: setup $(FLAVOURS) ## every type and every odd case, byte by byte. SAMPLE=1: MariaDB only
	SAMPLE=$(SAMPLE) $(BIN)/pytest -m 'fidelity$(NOT_MYSQL)' $(PYTEST_ARGS)

lint: $(VENV) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV) ## ruff, mending what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV) ## mypy, strict
	$(BIN)/mypy
	cd deploy/local && ../../$(BIN)/mypy --strict -p localstack
	cd deploy/demo && ../../$(BIN)/mypy --strict .

clean: ## end the stacks in .local and remove everything that was made here
	@for made in .local/*/stack.json .local/*/*/stack.json; do \
	  if [[ -e $$made ]]; then python3 deploy/local/stack down --purge --dir "$$(dirname "$$made")"; fi; \
	done
	rm -rf .venv .local build dist *.egg-info
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
