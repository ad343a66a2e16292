# Everything a developer runs. Each target makes the virtual environment it needs, with pinned versions.
#   make demo   triage a simulated fleet (or, without the lab engine, the exported logs in examples/)
#   make demo-remediate   mend a simulated fleet, see it enrol, and take it all back (needs the lab engine)
#   make test   unit and integration tests
#   make test-faults   each change, with every fault of the connection at every message: half an hour, `make test` takes a choice
#   make lint   every linter, ansible-test sanity and galaxy-importer among them
#   make bench  the figures, as ratios within one run
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
REQ := tests/requirements
# Ansible finds the collection by its path, so this checkout is linked in where that path ends as it must.
COLLECTIONS := $(CURDIR)/.cache/collections
LINKED := $(COLLECTIONS)/ansible_collections/winpki/scep
# pytest-ansible would make a second tree of links in ./collections.
LINKED_ALREADY := --ansible-unit-inject-only
# A file's tests share a fleet. Each simulated host is a process of its own, so more at once only wait for each other.
IN_PARALLEL := --numprocesses 2 --dist loadfile
export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS)
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible
export PYTHONPATH := $(COLLECTIONS)

.PHONY: help demo demo-remediate test test-faults lint bench clean
help:
	@sed -n 's/^#   //p' Makefile

# $(call venv,FOLDER,REQUIREMENTS): built beside and marked last, so that an interrupted install is done again.
define venv
$(1)/.ready: $(REQ)/$(2).txt $$(wildcard $(REQ)/$(3)-constraints.txt) requirements.txt
	@$$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": name one with make PYTHON=…")'
	rm -rf $(1)
	$$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check -r $(REQ)/$(2).txt
	touch $$@
endef
$(eval $(call venv,.venv,dev,dev))
$(eval $(call venv,.venv-lint,lint,lint))
$(eval $(call venv,.venv-bench,bench,dev))
$(eval $(call venv,.venv-oldest,oldest,oldest))

$(LINKED):
	mkdir -p $(dir $(LINKED))
	ln -sfn ../../../.. $(LINKED)

demo: .venv/.ready $(LINKED)
	.venv/bin/python -m tests.lab demo

demo-remediate: .venv/.ready $(LINKED)
	.venv/bin/python -m tests.lab demo-remediate

test: .venv/.ready .venv-oldest/.ready $(LINKED)
	.venv/bin/python -m pytest $(IN_PARALLEL) $(LINKED_ALREADY) tests
	.venv-oldest/bin/python -m pytest $(IN_PARALLEL) -m 'not long' tests/integration

test-faults: .venv/.ready $(LINKED)
	.venv/bin/python -m pytest $(IN_PARALLEL) $(LINKED_ALREADY) --every-fault tests/integration/test_role_faults.py tests/integration/test_role_verify_faults.py

lint: .venv-lint/.ready $(LINKED)
	tests/lint.sh

bench: .venv-bench/.ready $(LINKED)
	.venv-bench/bin/python -m bench

clean:
	rm -rf .cache .venv .venv-lint .venv-bench .venv-oldest .mypy_cache .ruff_cache .pytest_cache
