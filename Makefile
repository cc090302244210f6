# Every target runs on a plain machine with Python and make; what it needs beyond that goes into .venv and .venv-2.11.
# The pins in .ci/constraints are what an unconstrained install resolved to when the suite last passed (pip freeze, without this package).

PYTHON ?= python3
export PYTHON

AIRFLOW_3 := 3.3.2
AIRFLOW_2 := 2.11.2
VENV_3 := .venv
VENV_2 := .venv-2.11
VENV_BENCH := .venv-bench
VENV_CLUSTER := .venv-cluster
VENV_DIST := .venv-dist
VENV_DOCS := .venv-docs
OURS := --editable '.[dev,openlineage]'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv demo test soak bench bench-limit bench-triggerer docs plots pictures messages matrix dist upload e2e e2e-3.3 e2e-2.11 browser cluster lint format clean

help: ## list the targets
	@sed -nE 's/^([a-z0-9.-]+):.*## (.*)/  make \1|\2/p' Makefile | while IFS='|' read -r target text; do printf '%-23s %s\n' "$$target" "$$text"; done

venv: $(VENV_3)/.installed ## create .venv with Airflow 3.3.2 and the test tools

demo: $(VENV_3)/.installed ## watch a real Airflow run the examples, a failure and three disasters (KEEP=0: end by itself)
	@$(VENV_3)/bin/python -m tests.e2e.demo

# What pytest compiles for its asserts is kept, also where the environment asks Python for no bytecode: all of it anew costs
# each of the processes 3 s.
test: $(VENV_3)/.installed ## run the fast suite
	PYTHONDONTWRITEBYTECODE= $(VENV_3)/bin/python -m pytest --numprocesses=logical --dist=worksteal

soak: $(VENV_3)/.installed ## play 1,000 runs through faults and dying processes (SEED=… plays them again, RUNS=…)
	$(VENV_3)/bin/python -W ignore -m tests.soak --runs $(or $(RUNS),1000) $(if $(SEED),--seed $(SEED))

bench: $(VENV_BENCH)/.installed ## measure what waiting costs, beside a bare aiohttp loop and other providers; 15 minutes
	@$(VENV_BENCH)/bin/python -W ignore -m benchmarks $(BENCH)

bench-limit: $(VENV_3)/.installed ## play thousands of waits within Hevo's limit, in virtual time; 8 minutes
	@$(VENV_3)/bin/python -W ignore -m benchmarks.limit $(BENCH)

bench-triggerer: $(VENV_3)/.installed ## let 10,000 tasks wait in a real triggerer, beside as many that only sleep; 15 minutes
	@$(VENV_3)/bin/python -W ignore -m benchmarks.triggerer $(BENCH)

docs: $(VENV_DOCS)/.installed ## build the documentation's site into build/site, and fail for a link that leads nowhere
	@rm -rf build/site
	@$(VENV_DOCS)/bin/python .ci/site/pages.py build/pages
	@$(VENV_DOCS)/bin/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going -c .ci/site build/pages build/site
	@echo "The site is in build/site: open build/site/index.html."

plots: $(VENV_DOCS)/.installed ## draw the plots of docs/performance.md from what the benchmarks have written into build/
	@$(VENV_DOCS)/bin/python -m benchmarks.plots

pictures: $(VENV_3)/.installed ## take the pictures of the documentation anew, with chromium and npm, of a real Airflow 3.3.2
	@$(VENV_3)/bin/python .ci/site/diagrams.py
	@$(VENV_3)/bin/python -m tests.e2e.pictures

messages: $(VENV_3)/.installed ## look at every message of docs/troubleshooting.md in Airflow's log, with chromium; 5 minutes
	@$(VENV_3)/bin/python -m tests.e2e.messages $(CODES)

matrix: ## run the fast suite on every Airflow and Python that is supported, and on the lowest versions (PAIRS=…)
	@$(PYTHON) .ci/matrix $(PAIRS)

dist: $(VENV_3)/.installed ## build wheel and sdist, check them, and try the wheel in a virtual environment of its own
	rm -rf dist $(VENV_DIST)
	$(VENV_3)/bin/python -m build --no-isolation
	$(VENV_3)/bin/python -m twine check --strict dist/*
	@.ci/venv $(VENV_DIST) $(AIRFLOW_3) 13 dist/*.whl
	$(VENV_DIST)/bin/python -I .ci/try_wheel.py
	@! grep -q '/OWNER/' pyproject.toml || echo "Not for upload yet: [project.urls] in pyproject.toml does not name the owner of the repository."

upload: ## release: build, check and upload to PyPI; refused while pyproject.toml does not name the repository's owner
	@if grep -n '/OWNER/' pyproject.toml; then echo "Put the owner of the repository in the place of OWNER first."; exit 1; fi
	$(MAKE) dist
	$(VENV_3)/bin/python -m twine upload dist/*

e2e: e2e-3.3 e2e-2.11 ## run the tests on a real Airflow, 3.3.2 and 2.11.2

e2e-3.3: $(VENV_3)/.installed
	$(VENV_3)/bin/python -m pytest -m e2e --numprocesses=2 --dist=loadfile

e2e-2.11: $(VENV_2)/.installed
	$(VENV_2)/bin/python -m pytest -m e2e --numprocesses=2 --dist=loadfile

browser: $(VENV_3)/.installed ## look at the form, the button and the sandbox's page with Debian's chromium and chromium-driver
	$(VENV_3)/bin/python -m pytest -m browser tests/e2e

cluster: $(VENV_CLUSTER)/.installed ## kill parts of an Airflow on PostgreSQL, Redis and Celery, before a release; 10 minutes at most
	@if ! { ls /usr/lib/postgresql/*/bin/postgres && command -v redis-server; } >/dev/null 2>&1; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends postgresql redis-server >/dev/null; \
	fi
	timeout --foreground --signal=INT --kill-after=60 600 $(VENV_CLUSTER)/bin/python -m pytest -m cluster tests/cluster

lint: $(VENV_3)/.installed ## check style, format and types
	$(VENV_3)/bin/ruff check .
	$(VENV_3)/bin/ruff format --check .
	$(VENV_3)/bin/mypy

format: $(VENV_3)/.installed ## put the code into the format that lint wants
	$(VENV_3)/bin/ruff check --fix-only --quiet .
	$(VENV_3)/bin/ruff format .

clean: ## remove the virtual environments and every cache
	rm -rf .venv .venv-* dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The newest Python that each Airflow runs on is the last word of its line.
$(VENV_3)/.installed: pyproject.toml .ci/venv .ci/constraints/airflow-$(AIRFLOW_3).txt
	@.ci/venv $(VENV_3) $(AIRFLOW_3) 13 $(OURS) --editable '.[browser,dist]'

$(VENV_2)/.installed: pyproject.toml .ci/venv .ci/constraints/airflow-$(AIRFLOW_2).txt
	@.ci/venv $(VENV_2) $(AIRFLOW_2) 12 $(OURS)

$(VENV_BENCH)/.installed: pyproject.toml .ci/venv .ci/constraints/airflow-$(AIRFLOW_3).txt benchmarks/peers.txt
	@.ci/venv $(VENV_BENCH) $(AIRFLOW_3) 13 $(OURS) --requirement benchmarks/peers.txt

$(VENV_DOCS)/.installed: .ci/venv .ci/site/requirements.txt
	@.ci/venv $(VENV_DOCS) none 13 --requirement .ci/site/requirements.txt

$(VENV_CLUSTER)/.installed: pyproject.toml .ci/venv .ci/constraints/airflow-$(AIRFLOW_3).txt .ci/constraints/cluster.txt
	@.ci/venv $(VENV_CLUSTER) $(AIRFLOW_3) 13 $(OURS) --editable '.[cluster]' --constraint .ci/constraints/cluster.txt
