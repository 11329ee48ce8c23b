# Needs: Python 3.11 or newer with its venv module, make, and a package index the first time.
# Everything is installed into .venv, Daybook itself too: .venv/bin/daybook runs from anywhere.
# A second run installs nothing and needs no network.

PYTHON ?= python3
PORT   ?= 3000
ARGS   ?=
BENCH  ?= .bench

VENV := .venv
PY   := $(VENV)/bin/python
DAYBOOK := $(VENV)/bin/daybook
# Hashes: what was tested is what is installed. Wheels only: no package runs code while installing.
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check \
	--require-hashes --only-binary :all:
# Two workers on purpose: every worker has a PostgreSQL of its own, and small machines are the rule.
PYTEST := $(PY) -m pytest -n 2 --dist loadfile

# Without its bytecode cache Python takes several times as long to start.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) \
		| awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

##
## Use it
##

.PHONY: demo
demo: $(VENV)/.runtime ## Walk one transfer through everything, on throw-away servers
	@$(DAYBOOK) demo $(ARGS)

.PHONY: up
up: $(VENV)/.runtime ## Run the whole service on port 3000 (PORT=), data in .daybook/
	@$(DAYBOOK) up --port $(PORT) $(ARGS)

.PHONY: walk
walk: ## Do the README's curl walk against a running `make up`, and print what comes back
	@bash -v docs/curl-walk.sh 2>&1

.PHONY: examples
examples: $(VENV)/.dev ## Write the answers of the OpenAPI document's examples anew
	@DAYBOOK_WRITE_EXAMPLES=1 $(PY) -m pytest -q tests/acceptance/test_openapi.py -k every_example

##
## Prove it
##

.PHONY: test
test: $(VENV)/.dev ## Run the tests but those marked long (ARGS="-k hold"); DAYBOOK_TEST_PATIENCE=5 waits longer
	@$(PYTEST) -m "not long and not made_up" $(ARGS)

.PHONY: test-long
test-long: $(VENV)/.dev ## Run all tests, the long ones too
	@$(PYTEST) $(ARGS)

.PHONY: node
node: ## Install what the test of the TypeScript types needs, into .node/ (needs npm)
	@npm install --silent --no-audit --no-fund --prefix .node openapi-typescript@7.13.0 typescript@5

.PHONY: made-up
made-up: $(VENV)/.dev ## Make requests up from the OpenAPI document, for three minutes at most
	@$(PY) -m pytest -q -m made_up tests/acceptance/test_made_up_requests.py $(ARGS)

.PHONY: bench
bench: $(VENV)/.bench ## Measure beside peers on this machine, a quarter of an hour; JSON and plots in .bench/
	@$(PY) -m benchmarks --json $(BENCH)/run.json --plots $(BENCH) $(ARGS)

.PHONY: bench-quick
bench-quick: $(VENV)/.bench ## The same in a minute, without long logs, to see that it runs; the numbers are rough
	@$(PY) -m benchmarks --quick $(ARGS)

.PHONY: bench-length
bench-length: $(VENV)/.bench ## The rate by the length of the log: ARGS="--sizes 1000000,10000000"
	@$(PY) -m benchmarks --only length $(ARGS)

.PHONY: bench-audit
bench-audit: $(VENV)/.bench ## What auditing costs, by the length of the log: ARGS="--sizes 5000000"
	@$(PY) -m benchmarks --only audit $(ARGS)

.PHONY: bench-cost
bench-cost: $(VENV)/.bench ## Dollars for a million transfers on AWS, from the last `make bench`
	@$(PY) -m benchmarks.cost $(BENCH)/run.json $(ARGS)

##
## Keep it
##

SQL := $(wildcard */sql/*.sql */*/sql/*.sql daybook/migrations/*.sql)
CODE := daybook auditing command_side projections query_side sealing bank_statements events web runtime \
	tests benchmarks

.PHONY: check
check: $(VENV)/.dev ## What CI checks before the tests: style, types, directions, SQL, containers, locks
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache
	$(PY) -m sqlfluff lint --disable-progress-bar $(SQL)
	$(VENV)/bin/hadolint Dockerfile
	$(PY) -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(PY) -m compose_lint check --quiet docker-compose.yml
	@$(CHECK_LOCKS)

LOCKS := requirements.lock requirements-dev.lock requirements-build.lock requirements-bench.lock

# A lock names packages, versions and hashes, and leaves the index to the machine that installs.
define CHECK_LOCKS
if grep -nE '://|^ *-|@ |file:|\.(org|com|net|io|dev)( |$$|/)' $(LOCKS) \
	| grep -vE ':[0-9]+: +--hash=sha256:[0-9a-f]{64}( \\)?$$'; then \
	echo 'A lock may hold no URL, host, path or option: run `make lock`.'; exit 1; fi
endef

.PHONY: format
format: $(VENV)/.dev ## Format the code and fix what ruff can fix
	$(PY) -m ruff check --fix-only $(CODE)
	$(PY) -m ruff format $(CODE)

COMPILE = env -u PIP_FIND_LINKS $(PY) -m uv pip compile --quiet --upgrade \
	--universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links

.PHONY: lock
lock: $(VENV)/.created ## Resolve pyproject.toml anew into the four locks (needs a package index)
	$(PY) -m pip install --quiet --disable-pip-version-check 'uv>=0.13,<1'
	$(COMPILE) pyproject.toml --output-file requirements.lock
	$(COMPILE) pyproject.toml --group dev --constraints requirements.lock \
		--output-file requirements-dev.lock
	$(COMPILE) --group build --constraints requirements-dev.lock \
		--output-file requirements-build.lock
	$(COMPILE) pyproject.toml --group bench --constraints requirements.lock \
		--output-file requirements-bench.lock
	@$(CHECK_LOCKS)

.PHONY: clean
clean: ## Remove what was installed and cached; the ledger's data in .daybook/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

##
## Stamps: a file that says that the lock of the same name is installed
##

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'Daybook needs Python 3.11 or newer, and `$(PYTHON)` is' \
			"$$($(PYTHON) --version 2>&1 | head -n 1)." \
			'Name another one: make PYTHON=/path/to/python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '`$(PYTHON)` lacks its venv module. On Debian and Ubuntu: apt install python3-venv' >&2; \
		exit 1; }
	@echo 'Creating $(VENV) ...'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# Daybook itself, as an editable installation. The backend that builds it has a lock of its own.
$(VENV)/.program: pyproject.toml requirements-build.lock $(VENV)/.created
	@$(PIP_INSTALL) -r requirements-build.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check \
		--no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.runtime: requirements.lock $(VENV)/.created | $(VENV)/.program
	@echo 'Installing what Daybook needs (once; a minute or two) ...'
	@$(PIP_INSTALL) -r requirements.lock
	@touch $@

# The development lock contains the runtime lock, version by version.
$(VENV)/.dev: requirements-dev.lock $(VENV)/.created | $(VENV)/.program
	@echo 'Installing what Daybook and its tests need (once; a minute or three) ...'
	@$(PIP_INSTALL) -r requirements-dev.lock
	@touch $(VENV)/.runtime $@

# So does the lock of the benchmarks.
$(VENV)/.bench: requirements-bench.lock $(VENV)/.created | $(VENV)/.program
	@echo 'Installing what the benchmarks need (once; a minute or two) ...'
	@$(PIP_INSTALL) -r requirements-bench.lock
	@touch $(VENV)/.runtime $@
