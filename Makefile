# Everything sets itself up first; the second time that costs nothing. Start with `make demo`.

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types layers bench clean

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup: ## system packages, .venv, editable install
	@scripts/setup

demo: setup ## a cluster, a request, two experiments, a report (under five minutes)
	@scripts/demo

test: ## all tests
	@scripts/setup test
	@.venv/bin/python -m compileall -q testbed  # or each of the thousands of processes compiles what it imports
	@.venv/bin/pytest -n $$(($$(nproc) + 1))  # a third of a lab's time is waiting

check: lint types layers test ## everything that must be green before a push

lint: setup ## style
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: setup ## mypy --strict
	@.venv/bin/mypy

layers: setup ## who may import whom
	@.venv/bin/lint-imports

bench: ## speed beside other programs (needs root)
	@scripts/setup bench
	@.venv/bin/python -m bench

clean: ## forget the environment and the caches; results stay
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
