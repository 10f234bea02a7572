# Two commands to try: `make demo`, `make test`. Everything is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest -n auto --dist worksteal -q

.DEFAULT_GOAL := help
.PHONY: help setup setup-models demo test test-fast test-models test-faults test-faults-short minio uppy fuzz bench bench-mastering load eval lint format up api worker schemas clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.core: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "melisma needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11"; rm -rf $(VENV); exit 1; }
	@echo "installing melisma into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.models: $(VENV)/.dev
	@echo "installing Demucs and NeMo (7 GB) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,models]'
	@touch $@

setup: $(VENV)/.dev ## Install melisma and its development tools into .venv

setup-models: $(VENV)/.models ## Install Demucs and NeMo too, for the full backends

demo: $(VENV)/.core ## Turn the demo song into karaoke: times, accuracy, where to look
	@$(BIN)/melisma demo

test: $(VENV)/.dev ## Run every test but the long ones: faults of the real servers, MinIO
	$(PYTEST) -m "not bench and not minio and not (faults and stack)"

test-fast: $(VENV)/.dev ## Run what needs no server and is quick (under 3 minutes)
	$(PYTEST) -m "not bench and not e2e and not faults and not stack and not minio and not slow"

# A file a process: each of them imports NeMo, which takes longer than its tests.
test-models: $(VENV)/.models ## Run the tests of the full backends: tiny models, real Demucs and NeMo
	MELISMA_REQUIRE_MODELS=1 $(BIN)/pytest -n auto --dist loadfile -q -m models

test-faults: $(VENV)/.dev ## Kill and cut the whole product at many moments (long)
	-@$(MAKE) --no-print-directory minio
	MELISMA_FAULT_ROUNDS=10 $(PYTEST) -m "faults or minio"

test-faults-short: $(VENV)/.dev ## A seeded third of the faults of the real servers (MELISMA_FAULT_SEED=7 for another)
	$(PYTEST) -m "faults and stack"

test-clips: $(VENV)/.dev ## 500 songs from a failing provider by workers that are killed (15 min)
	MELISMA_CLIP_JOBS=500 MELISMA_CLIP_SEEDS=1,2,3 $(BIN)/pytest -q -s tests/faults/test_clips.py
	MELISMA_CLIP_PROCESS_JOBS=500 $(BIN)/pytest -q -s tests/faults/test_clip_processes.py

minio: $(VENV)/.dev ## Build the S3 server that enforces IP binding, for test-faults (needs Go)
	@$(BIN)/python -m tests.topics.artifacts.minio

uppy: ## Install the unmodified Uppy that the tests upload with (needs Node 20 and npm)
	@for client in v5 v6; do npm ci --no-audit --no-fund --prefix tests/uppy/$$client || exit 1; done

fuzz: $(VENV)/.dev ## Ask the API 20,000 generated questions: no 5xx, nothing its description lacks
	$(BIN)/python -m tests.gateway.fuzzing --cases 20000

bench: $(VENV)/.dev ## Measure separation, alignment, log and projection, as ratios in one run
	@for bench in $(filter-out %/bench_mastering.py,$(wildcard tests/bench/bench_*.py)); do \
	  OMP_NUM_THREADS=1 $(BIN)/python -m "tests.bench.$$(basename $$bench .py)" || exit 1; done

bench-mastering: $(VENV)/.dev ## Hold 200 masters to their promises, and one beside matchering (MATCHERING=its venv)
	$(BIN)/python -m tests.bench.bench_mastering $(if $(MATCHERING),--matchering $(MATCHERING))

load: $(VENV)/.dev ## Batches of extraction under load, with a report (CELERY=its venv REDIS=redis-server: beside the first design)
	$(BIN)/python -m tests.bench.load $(if $(CELERY),--celery $(CELERY) --redis $(REDIS))

eval: $(VENV)/.dev ## How good the karaoke is, song by song, against its targets (DATASET=folder of real songs)
	$(BIN)/python -m tests.eval $(if $(DATASET),--dataset "$(DATASET)")

lint: $(VENV)/.dev ## Check format, style and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(VENV)/.dev ## Format the code and sort its imports
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

up: $(VENV)/.core ## Run the whole product on http://127.0.0.1:8080
	$(BIN)/melisma up

api: $(VENV)/.core ## Run the gateway and the projector alone
	$(BIN)/melisma gateway & projection=$$!; trap 'kill $$projection' EXIT; $(BIN)/melisma projector

worker: $(VENV)/.core ## Run the stages alone (STAGES="separation alignment")
	$(BIN)/melisma worker $(STAGES)

schemas: $(VENV)/.core ## Bring events.py, the schema history and the API descriptions in step
	$(BIN)/python -m schemas.generate
	$(BIN)/python -m gateway.describing

clean: ## Remove what was built, installed and made
	rm -rf $(VENV) build dist out data .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
