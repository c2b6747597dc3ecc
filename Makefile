# eastwest: two commands do everything on a fresh Debian machine with Python 3.11: `make demo` and `make test`.
SHELL := /bin/bash
export UV_PROJECT_ENVIRONMENT ?= .venv
PY := .venv/bin/python
STAMPS := .stamps
export PATH := $(CURDIR)/.node/bin:$(PATH)
CLANG ?= clang
WEB_OUT := src/eastwest/api/console

.PHONY: help setup bpf web demo test check lint types unit e2e bench conformance soak fix golden clean
help:
	@echo "make demo         set up, then run a cluster in this machine and open it to the browser (ARGS='--for 60')"
	@echo "make test         set up, then format check, lint, types and all tests"
	@echo "make fix          format and repair what ruff can"
	@echo "make bench        measure, print a table, write bench-results/"
	@echo "make conformance  every policy conformance case, through the engine and on the wire;  make soak: the long suites;  make golden: rewrite golden files"

# --- set-up: each step leaves a stamp, so the second time is fast -------------------------------------------------
$(STAMPS)/apt: scripts/apt-packages.txt
	@mkdir -p $(STAMPS); scripts/setup-apt.sh && touch $@
$(STAMPS)/python: pyproject.toml uv.lock $(STAMPS)/apt
	@scripts/setup-python.sh && touch $@
$(STAMPS)/npm: web/package-lock.json $(STAMPS)/python
	@scripts/setup-node.sh
	@echo "== web console: npm packages"; cd web && npm ci --no-audit --no-fund --loglevel=error && touch ../$@
bpf: $(STAMPS)/apt
	@$(MAKE) --no-print-directory -C bpf CLANG=$(CLANG)
web: $(STAMPS)/web
$(STAMPS)/web: $(STAMPS)/npm $(STAMPS)/python $(shell git ls-files web 2>/dev/null) $(wildcard src/eastwest/api/models/*.py)
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
# two at a time: most of them wait for packets, windows and processes. A file's tests share their lab, so they stay together.
# What fails beside others is said, then run once more with the machine to itself: a defect fails again, a crowd does not.
unit:
	@.venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS) || { rc=$$?; [ $$rc -eq 1 ] || exit $$rc; \
		echo "== failed above, beside other tests; once more, alone:"; \
		.venv/bin/pytest --last-failed --last-failed-no-failures none $(ARGS); }
	@cd web && npm test --silent
check: lint types

# --- the long ones; `make test` runs a fixed sample of each and prints how large it is ------------------------------
bench: setup
	@past=0; for b in policy metrics enforce; do .venv/bin/python bench/$$b.py || past=1; done; \
		.venv/bin/python bench/agent.py $(ARGS) || past=1; .venv/bin/python bench/table.py || past=1; exit $$past
conformance: setup
	@.venv/bin/eastwest policy conformance tests/golden/policy/cases
	@.venv/bin/eastwest lab conformance tests/golden/policy/cases $(ARGS)
soak: setup
	@echo "== property tests, 20 times as many examples; 200 generated clusters against network-config-analyzer"
	@EASTWEST_NCA_CLUSTERS=200 HYPOTHESIS_PROFILE=soak .venv/bin/pytest -q --timeout 3600 tests/policy tests/k8s tests/wire tests/query tests/model
	@echo "== kernel tests and real packets, five times over"
	@for i in 1 2 3 4 5; do .venv/bin/pytest -q tests/bpf tests/agent tests/collector tests/e2e || exit 1; done
	@echo "== chaos: 500 pods, agents killed, interfaces flapping, clocks set"
	@EASTWEST_CHAOS_PODS=500 EASTWEST_CHAOS_SEED=$$RANDOM .venv/bin/pytest -q -s tests/e2e/test_chaos.py
	@echo "== enforcement: the server away for 10 minutes while pods come and go (twice), 2,000 edits in a minute"
	@EASTWEST_AWAY_S=600 EASTWEST_EDITS=2000 .venv/bin/pytest -q -s tests/e2e/test_enforce_faults.py
	@echo "== the packet parser under libFuzzer, 10 minutes"
	@folder=$$(mktemp -d) && make -s -C bpf fuzz FUZZER=$$folder/fuzz && mkdir $$folder/corpus && \
		(cd $$folder && ./fuzz -max_total_time=600 -max_len=512 -print_final_stats=1 corpus) && rm -rf $$folder
	@echo "== the DNS parser under atheris, 10 minutes"
	@uv run --with atheris python tests/agent/dns_fuzz.py -max_total_time=600
golden: setup
	@EASTWEST_GOLDEN=1 .venv/bin/pytest -q tests/policy/generate/test_golden.py
	@.venv/bin/python scripts/columns_doc.py && .venv/bin/python scripts/metrics_doc.py
fix:
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .
clean:
	@rm -rf $(STAMPS) .venv web/node_modules $(WEB_OUT) src/eastwest/agent/objects; $(MAKE) -C bpf clean
