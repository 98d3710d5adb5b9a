# Basin. `make` lists what can be made; everything happens inside .venv.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
PACKAGES := backend basin jobs dashboard benchmarks
LIVE := dashboard/live tests/dashboard/live
# More for pytest: make test PYTEST_ARGS="-k sampler -x"
PYTEST_ARGS ?=
# Each file whole in one process, in the order of tests/conftest.py.
PYTEST_PROCESSES ?= -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help install install-dev up docs test test-slow coverage check format peers lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Who only runs Basin is spared a linter, a type checker and a browser driver. Both are made again
# only when pyproject.toml or constraints.txt changed.
install: $(VENV)/.stamp ## set up .venv with what running needs

install-dev: $(VENV)/.stamp-dev ## add what testing and the benchmarks need

$(VENV)/.stamp: pyproject.toml constraints.txt scripts/install.sh
	@scripts/install.sh $(VENV) -e .
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp
	@scripts/install.sh $(VENV) -e '.[dev,docs]'
	@touch $@

up: install ## start Redis, workers and the dashboard (PORT=8501 unless set; Ctrl-C stops all)
	@exec $(BIN)/basin up

docs: install-dev ## build the documentation into site/, every warning an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

test: install-dev ## run the tests, browser tests included
	@$(call pytest,not slow)

test-slow: install-dev ## run the tests that take longer
	@$(call pytest,slow)

# Apart from `make test`, since counting lines takes time; what runs in the tests' own processes.
coverage: install-dev ## run the tests but for pages, and see that enough of the code is run
	@$(call pytest,not slow and not browser,--cov --cov-report=term)

define pytest
chromium=$$(scripts/chromium.sh) && nginx=$$(scripts/nginx.sh) && node=$$(scripts/node.sh) && \
	BASIN_CHROMIUM="$$chromium" BASIN_NGINX="$$nginx" BASIN_NODE="$$node" \
	$(BIN)/python -m pytest -m "$(1)" $(2) $(PYTEST_PROCESSES) $(PYTEST_ARGS)
endef

check: install-dev ## formatter, linter, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/oxfmt --check $(LIVE)
	$(BIN)/oxlint $(LIVE)
	$(BIN)/mypy $(PACKAGES)

format: install-dev ## format and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/oxfmt $(LIVE)
	$(BIN)/oxlint --fix $(LIVE)

peers: $(PEERS)/.stamp ## set up .venv-peers, with what the benchmarks compare Basin to

$(PEERS)/.stamp: constraints-peers.txt scripts/install.sh
	@LOCK=constraints-peers.txt scripts/install.sh $(PEERS) tensorboard trackio \
		mlflow-skinny sqlalchemy alembic wandb torchebm ebmkit blackjax
	@touch $@

lock: install-dev ## write the versions in .venv to constraints.txt
	@{ grep '^#' constraints.txt; $(BIN)/python -m pip freeze --all --exclude-editable \
		| grep -E '^[A-Za-z0-9._-]+==' | grep -v '^pip==' | sed -E 's/\+[A-Za-z0-9.]+$$//' | LC_ALL=C sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove environments and caches (never runs or data)
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache build dist site ./*.egg-info
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
