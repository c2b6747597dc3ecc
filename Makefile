# eastwest: two commands do everything on a fresh Debian machine with Python 3.11: `make demo` and `make test`.
SHELL := /bin/bash
export UV_PROJECT_ENVIRONMENT ?= .venv
PY := .venv/bin/python
STAMPS := .stamps
CLANG ?= clang
WEB_OUT := src/eastwest/api/console

.PHONY: help setup bpf web demo test check lint types unit e2e bench conformance soak fix golden clean
help:
	@echo "make demo         set up, then run a cluster in this machine and open it to the browser (ARGS='--for 60')"
	@echo "make test         set up, then format check, lint, types and all tests"
	@echo "make fix          format and repair what ruff can"
	@echo "make bench        measure, print a table, write bench-results/"
	@echo "make conformance  every policy conformance case;  make soak: the long suites;  make golden: rewrite golden files"

# --- set-up: each step leaves a stamp, so the second time is fast -------------------------------------------------
$(STAMPS)/apt: scripts/apt-packages.txt
	@mkdir -p $(STAMPS); scripts/setup-apt.sh && touch $@
$(STAMPS)/python: pyproject.toml uv.lock $(STAMPS)/apt
	@scripts/setup-python.sh && touch $@
$(STAMPS)/npm: web/package-lock.json $(STAMPS)/apt
	@echo "== web console: npm packages"; cd web && npm ci --no-audit --no-fund --loglevel=error && touch ../$@
bpf: $(STAMPS)/apt
	@$(MAKE) --no-print-directory -C bpf CLANG=$(CLANG)
web: $(STAMPS)/web
$(STAMPS)/web: $(STAMPS)/npm $(STAMPS)/python $(shell git ls-files web 2>/dev/null) src/eastwest/api/models.py
	@echo "== web console: build"; scripts/build-web.sh && touch $@
setup: $(STAMPS)/apt $(STAMPS)/python bpf web

demo: setup
	@.venv/bin/eastwest demo $(ARGS)

# --- tests ---------------------------------------------------------------------------------------------------------
test: setup lint types unit
lint:
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/lint-imports
types:
	@.venv/bin/mypy
unit:
	@.venv/bin/pytest $(ARGS)
	@cd web && npm test --silent
check: lint types
fix:
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .
clean:
	@rm -rf $(STAMPS) .venv web/node_modules $(WEB_OUT) src/eastwest/agent/objects; $(MAKE) -C bpf clean
