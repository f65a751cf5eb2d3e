# `make run` and `make test` are all the set-up there is. Both go through scripts/setup.sh, which says what it does.
.POSIX:
.PHONY: run test setup check bench bench-setup clean lock help

UV = uv
PY = .venv/bin/python

run: ## talk to it here; without a terminal: one sample turn, then serve
	@sh scripts/setup.sh run
	@if [ -t 0 ] && [ -t 1 ]; then exec .venv/bin/carapax chat; else exec .venv/bin/carapax serve --sample; fi

test: ## every check and every test
	@sh scripts/setup.sh test
	@sh scripts/test_tools.sh
	@$(MAKE) -s check

check:
	.venv/bin/ruff format --check carapax tests scripts bench
	.venv/bin/ruff check carapax tests scripts bench
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m pytest

setup: ## system packages, environment, model; starts nothing
	@sh scripts/setup.sh run

bench-setup: ## what the measurements need beyond the set-up, from its own lock into its own environment
	@sh scripts/setup.sh test
	@for name in hijack walls; do \
	  lock=$$(cksum <requirements/bench-$$name.lock); \
	  if [ "$$(cat .venv-$$name/.ready 2>/dev/null)" != "$$lock" ]; then \
	    rm -rf .venv-$$name && $(PY) -m venv .venv-$$name && \
	    .venv-$$name/bin/python -m pip install -q --disable-pip-version-check --no-input --require-hashes -r requirements/bench-$$name.lock && \
	    printf '%s\n' "$$lock" >.venv-$$name/.ready || exit 1; \
	  fi; \
	done

bench: bench-setup ## run every measurement and renew bench/RESULTS.md
	@$(PY) bench/results.py

lock: ## renew the locks: versions and hashes, no registry addresses
	@for name in run dev peers bench-hijack bench-walls; do \
	  $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	    requirements/$$name.in -o requirements/$$name.lock || exit 1; \
	done

clean: ## remove the environment and the caches; your home (~/.carapax) stays
	rm -rf .venv .venv-hijack .venv-walls .venv-peers .mypy_cache .ruff_cache .import_linter_cache .hypothesis bench/out
	find carapax tests scripts bench -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
