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
KEEP ?=
NOT_MYSQL := $(if $(filter-out 0,$(SAMPLE)), and not mysql)
SUITES := matrix or guards or faults or repairs or convergence or fidelity or operation or deploy or change
NOT_ELSEWHERE := not ($(SUITES) or security or ui)
NOT_LONG := $(if $(filter-out 0,$(SAMPLE)), and not matrix)
FLAVOURS := $(if $(NOT_MYSQL),,$(SERVERS)mixed)

.PHONY: help setup demo test test-faults test-guards test-repairs test-mysql test-matrix
.PHONY: test-change test-convergence test-fidelity test-operation test-security test-deploy test-ui
.PHONY: audit wheel bench
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
	SAMPLE=$(SAMPLE) $(BIN)/pytest -m 'faults$(NOT_MYSQL)$(NOT_LONG)' $(PYTEST_ARGS)

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

test-change: setup $(FLAVOURS) ## schema changes, first loads, other sources. SAMPLE=1: MariaDB only
	SAMPLE=$(SAMPLE) $(BIN)/pytest -m 'change$(NOT_MYSQL)$(NOT_LONG)' $(PYTEST_ARGS)

PROMETHEUS := .local/prometheus/usr/bin/prometheus
$(PROMETHEUS): # Debian's, unpacked only: nothing of it starts by itself
	rm -rf .local/prometheus && mkdir -p .local/prometheus
	cd .local/prometheus && { apt-get -q download prometheus \
	  || { apt-get -q update || true; apt-get -q download prometheus; }; }
	dpkg-deb -x .local/prometheus/prometheus_*.deb .local/prometheus
	touch $@

test-operation: setup $(PROMETHEUS) ## metrics, alerts, pruning, a week of runs. SAMPLE=1: minutes
	SAMPLE=$(SAMPLE) $(BIN)/pytest -m operation $(PYTEST_ARGS)

test-deploy: $(VENV) ## images and composition on a Docker Engine, and the wheel; as root on Debian
	$(BIN)/pytest -m deploy $(PYTEST_ARGS)

CHROMIUM := /usr/bin/chromium
$(CHROMIUM):
	@[[ $$(id -u) == 0 ]] || { echo "missing: sudo apt-get install --no-install-recommends chromium"; exit 1; }
	apt-get -q install -y --no-install-recommends chromium || { apt-get -q update || true; \
	  apt-get -q install -y --no-install-recommends chromium; }

UI := .venv/ready-ui
$(UI): $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ui]'
	touch $@

test-ui: setup $(UI) $(CHROMIUM) ## Dagster's UI in a real Chromium. KEEP=1: its pictures go to docs/screenshots
	$(if $(filter-out 0,$(KEEP)),DTS_UI_PICTURES=docs/screenshots) $(BIN)/pytest -m ui $(PYTEST_ARGS)

wheel: $(VENV) ## dist/dts_pipeline-….whl
	rm -rf build  # what was removed since must not come back from there
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

test-security: setup $(FLAVOURS) ## TLS, SCRAM, secrets, injection, sockets. SAMPLE=1: MariaDB only
	$(BIN)/pytest -m 'security$(NOT_MYSQL)' $(PYTEST_ARGS)

audit: $(VENV) ## an SBOM of what is installed, and its known vulnerabilities
	$(BIN)/python deploy/audit

BENCH := .venv/ready-bench
$(BENCH): $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@

bench: $(BENCH) $(SERVERS)mixed ## beside Debezium's sink and the old way; hours. SAMPLE=1: minutes
	$(BIN)/python -m benchmarks $(if $(filter-out 0,$(SAMPLE)),--sample --repeat 1) \
	  $(if $(TARGET),--targets $(TARGET)) $(if $(WORKLOADS),--workloads $(WORKLOADS)) \
	  $(if $(CONTENDERS),--contenders $(CONTENDERS)) $(if $(REPEAT),--repeat $(REPEAT)) \
	  $(if $(PARTS),--parts $(PARTS)) $(if $(OUT),--out '$(OUT)') $(BENCH_ARGS)

lint: $(VENV) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV) ## ruff, mending what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV) ## mypy, strict
	$(BIN)/mypy
	cd deploy/local && MYPYPATH=../.. ../../$(BIN)/mypy --strict -p localstack
	cd deploy/demo && ../../$(BIN)/mypy --strict .

clean: ## end the stacks in .local and remove everything that was made here
	@for made in .local/*/stack.json .local/*/*/stack.json; do \
	  if [[ -e $$made ]]; then python3 deploy/local/stack down --purge --dir "$$(dirname "$$made")"; fi; \
	done
	rm -rf .venv .local build dist *.egg-info
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
