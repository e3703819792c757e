# The commands of the testbed. Each installs what it still lacks first; the second time that is a matter of
# milliseconds. TESTBED_PYTHON chooses another Python, RUN_ARGS and PYTEST_ARGS are handed on.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup roam test test-vm bench lock clean

PY := .venv/bin/python
# Namespaces and eBPF programs of the initial user namespace belong to root; without sudo the testbed itself says
# what an ordinary user cannot have.
AS_ROOT := $(shell [ "$$(id -u)" -eq 0 ] || command -v sudo)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## install what `testbed run` needs, and nothing else
	@scripts/setup.sh run

roam: setup ## the main job: build the networks, move the node, prove what happened
	@$(AS_ROOT) $(PY) -m testbed run roam $(RUN_ARGS)

test: ## linters, types, the eBPF object rebuilt and compared, all tests
	@scripts/setup.sh run test
	@scripts/test.sh $(PYTEST_ARGS)

test-vm: ## kernel-dependent tests and `run roam` on a distribution kernel, inside a virtual machine
	@scripts/setup.sh run test vm
	@$(AS_ROOT) $(PY) -m testbed.fullkernel suite

bench: ## the numbers of the design, as ratios measured in one run
	@scripts/setup.sh run
	@$(AS_ROOT) $(PY) -m testbed bench $(BENCH_ARGS)

lock: ## resolve pyproject.toml anew into requirements.lock
	@scripts/lock.sh

clean: ## remove what set-up and tests leave in the checkout (not the runs)
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
