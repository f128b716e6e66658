# Every developer command. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := proto service-kit vad-service stt-service tts-service/espeak-worker tts-service gpu-monitor orchestrator llm-service anchor-cli
SOURCES := $(wildcard $(addsuffix /src,$(PACKAGES)))
PYPROJECTS := $(addsuffix /pyproject.toml,$(PACKAGES))
PIP := $(BIN)/pip --disable-pip-version-check --quiet --require-virtualenv
# Says what a step of the set-up does and how long it takes; shows its output only if it fails.
STEP := tools/step.sh
# The demo's microphone.
WAV ?= content/questions/demo.wav

# The models that set-up fetches: default or minimal. A stamp for each, so that a change of the setting fetches.
MODEL_SET := $(or $(ANCHOR_MODELS),$(shell sed -n 's/^ANCHOR_MODELS=\([a-z]*\).*/\1/p' .env 2>/dev/null),default)
MODELS_STAMP := .venv/models-$(MODEL_SET).stamp

# Settings from .env; the shell's environment takes precedence.
WITH_ENV = $(if $(wildcard .env),$(BIN)/dotenv run --no-override --)

WEB_SOURCES := $(shell find web/client/src web/console -name node_modules -prune -o -type f -print) web/package-lock.json
# npm prints errors only, and no funding notes.
NPM := npm --prefix web --no-fund --no-audit --loglevel=error
NODE_NEEDED := 20.19
NODE_SERVES := command -v npm >/dev/null && node -e 'const [a, b] = process.versions.node.split(".").map(Number); \
  process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null

.PHONY: help setup setup-dev run demo web up down logs pin-images test test-hostile test-faults fuzz test-browser test-compose test-engines bench bench-gpu verify-gpu bench-voice bench-overload bench-over-reply soak eval-filters eval-ears eval-stt eval-tts eval-turns eval-retrieval eval-answers check lint format type proto proto-check lock lock-check clean

help: ## Show this menu
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 16

setup: .venv/run.stamp ## Create .venv from the hash-pinned lock and fetch the models: ANCHOR_MODELS=minimal make setup
	@$(WITH_ENV) $(BIN)/anchor models
	@touch $(MODELS_STAMP)

setup-dev: .venv/dev.stamp ## Like setup, plus the development and test tools

# The local language model: `make run LLM=local`.
LLM ?=
ifeq ($(LLM),local)
LOCAL_LLM := .venv/local-llm.stamp
export ORCHESTRATOR_LLM := local
endif

run: .venv/run.stamp $(MODELS_STAMP) $(LOCAL_LLM) ## Start the mesh, run a self-test turn, serve until Ctrl-C; LLM=local with a small language model
	@if $(NODE_SERVES); then $(MAKE) --no-print-directory web || echo "the console was not built: serving without it, or with the one before"; \
	elif [ ! -f web/dist/index.html ]; then echo "no Node.js $(NODE_NEEDED) or newer with npm: serving without the console (docs/setup.md)"; fi
	@$(WITH_ENV) $(BIN)/anchor up

demo: .venv/run.stamp $(MODELS_STAMP) ## Play a recording into the running mesh at microphone speed: make demo WAV=question.wav
	@$(WITH_ENV) $(BIN)/anchor demo "$(WAV)"

web: web/dist/index.html ## Build the console; needs Node.js 20.19 or newer
	@:

# With compose.pinned.yaml, unless COMPOSE_FILE says which files there are.
COMPOSE_FILE ?= $(shell sed -n 's/^COMPOSE_FILE=//p' .env 2>/dev/null)
PINNED := $(if $(COMPOSE_FILE),,$(wildcard compose.pinned.yaml))
COMPOSE := docker compose$(if $(PINNED), --file compose.yaml $(addprefix --file ,$(wildcard compose.override.yaml) $(PINNED)))

up: ## Build and start the mesh in containers; returns when it is ready
	@$(if $(PINNED),$(PYTHON) tools/images/pin_images.py --check)
	@$(COMPOSE) up --build --wait --detach

down: ## Stop the containers; their volumes stay
	@$(COMPOSE) --profile '*' down

logs: ## Follow the containers' logs
	@$(COMPOSE) logs --follow --tail 100

pin-images: ## Pin all images by their digests, in compose.pinned.yaml; needs Docker and the registry
	@$(PYTHON) tools/images/pin_images.py

test: .venv/dev.stamp ## Unit, contract, conversation and end-to-end tests: make test COVERAGE=1 PLANNED_CARDS=all
	@tests/run.sh

test-hostile: .venv/dev.stamp ## Attack a real mesh while a well-behaved client keeps talking; ANCHOR_MODELS=default make test-hostile
	@$(BIN)/python -m pytest tests/hostile

fuzz: .venv/dev.stamp ## Hostile input to every parser: make fuzz FUZZ_CASES=100000 FUZZ_SEED=7 FUZZ="-k wav"
	@$(BIN)/python -m pytest tests/fuzz --durations=0 $(FUZZ)

test-faults: .venv/dev.stamp ## Faults under a conversation with real processes, the invariants checked: FAULTS=all make test-faults
	@$(BIN)/python -m pytest --numprocesses 2 --durations=10 tests/faults

test-browser: .venv/dev.stamp web/dist/index.html ## The console's unit tests, then the console in Chromium against a real mesh
	@$(NPM) run --silent test
	@$(NPM) run --silent test:browser

test-compose: .venv/dev.stamp ## The mesh in containers, with injected faults; needs Docker, Caddy, Prometheus; GPU_START=1 adds the profile gpu
	@ANCHOR_TEST_COMPOSE=1 $(BIN)/python -m pytest --durations=5 tests/compose $(if $(GPU_START),,--ignore=tests/compose/test_gpu_start.py)

test-engines: .venv-engines/stamp .venv-vllm/stamp ## Real engines on tiny random weights, in separate environments (torch, vLLM: 4 GB)
	@.venv-engines/bin/python -m pytest tests/engines --durations=5

bench: .venv/run.stamp $(MODELS_STAMP) ## Latency, CPU time and capacity with scripted models: make bench BENCH=--quick
	@$(BIN)/python tools/bench/bench.py $(BENCH)

bench-voice: .venv/run.stamp ## Waiting times and memory with the default engines: make bench-voice BENCH_VOICE="--users 2"
	@$(BIN)/python tools/bench/voice_to_voice.py $(BENCH_VOICE)

MINUTES ?= 60
soak: .venv/run.stamp $(MODELS_STAMP) ## Load and random faults for an hour; memory, tasks and descriptors stay flat: make soak MINUTES=15
	@PYTHONPATH=tools/bench $(BIN)/python tools/soak/soak.py --minutes $(MINUTES) $(SOAK)

bench-overload: .venv/run.stamp $(MODELS_STAMP) ## More callers than places: make bench-overload OVERLOAD="--callers 60 --places auto --engines both"
	@$(BIN)/python tools/bench/overload.py $(OVERLOAD)

bench-over-reply: .venv/dev.stamp ## Which sounds over a reply stop it, with the default engines: make bench-over-reply OVER_REPLY="--sounds DIR"
	@PYTHONPATH=tools/bench:tools/eval:tools/eval/turns $(BIN)/python tools/bench/over_reply.py $(OVER_REPLY)

# A Python with torch outside .venv-engines needs no installation by make.
GPU_PYTHON ?= .venv-engines/bin/python
BENCH_GPU_PATH := $(subst $(eval ) ,:,tools/bench $(SOURCES) proto/gen/python)
bench-gpu: $(if $(filter .venv-engines/%,$(GPU_PYTHON)),.venv-engines/stamp) ## GPU engines at full size with random weights: make bench-gpu BENCH_GPU=--tiny
	@PYTHONPATH=$(BENCH_GPU_PATH) $(GPU_PYTHON) -m gpu $(BENCH_GPU)

# Resumes: what passed on this card, with these versions and settings, is not run again.
verify-gpu: .venv/run.stamp $(MODELS_STAMP) $(if $(filter .venv-engines/%,$(GPU_PYTHON)),.venv-engines/stamp) ## Prove on a GPU that everything works, in nine steps: make verify-gpu VERIFY=--tiny
	@$(WITH_ENV) env GPU_PYTHON=$(GPU_PYTHON) $(BIN)/anchor verify-gpu $(VERIFY)

eval-filters: .venv/dev.stamp ## Audio filters on recordings of people in noise: make eval-filters FILTERS="--only office"
	@$(BIN)/python tools/eval/eval_filters.py $(FILTERS) $(EARS)

eval-ears: eval-filters

eval-stt: .venv/dev.stamp ## Word errors, language and false words on recordings of people: make eval-stt STT="--engines whisper-base"
	@$(BIN)/python tools/eval/eval_stt.py $(STT)

eval-tts: .venv/dev.stamp ## Round-trip errors and speed of speech: make eval-tts EVAL_TTS="--engines kokoro"
	@$(BIN)/python tools/eval/eval_tts.py $(EVAL_TTS)

eval-turns: .venv/dev.stamp ## Cut-offs, delays and false barge-ins on recordings of people: make eval-turns TURNS="--predictors pause"
	@$(BIN)/python tools/eval/turns/eval_turns.py $(TURNS)

eval-retrieval: .venv/dev.stamp ## Whether questions find their passage, typed and spoken: make eval-retrieval RETRIEVAL="--recogniser pocketsphinx"
	@$(BIN)/python tools/eval/eval_retrieval.py $(RETRIEVAL)

eval-answers: .venv/dev.stamp .venv/local-llm.stamp ## Judged answers of the briefing and the local model: make eval-answers ANSWERS="--engines briefing"
	@$(BIN)/python tools/eval/eval_answers.py $(ANSWERS)

check: lint type proto-check test test-hostile ## All checks and tests that need no browser, Docker or torch

lint: .venv/dev.stamp web/node_modules/.stamp ## Style and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(NPM) run --silent lint

format: .venv/dev.stamp web/node_modules/.stamp ## Format the code
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .
	@$(NPM) run --silent format

type: .venv/dev.stamp web/node_modules/.stamp ## Strict type checks
	@$(BIN)/basedpyright --level error
	@$(NPM) run --silent type

proto: .venv/dev.stamp web/node_modules/.stamp ## Generate the stubs and the session's message classes from proto/anchor
	@rm -rf proto/gen/python/anchor web/client/src/protocol/anchor
	@$(BIN)/python -m grpc_tools.protoc -Iproto \
	  --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --python_out=proto/gen/python --pyi_out=proto/gen/python \
	  --grpc_python_out=proto/gen/python --mypy_grpc_out=quiet:proto/gen/python \
	  $$(find proto/anchor -name '*.proto' | sort)
	@$(BIN)/python -m grpc_tools.protoc -Iproto --plugin=web/node_modules/.bin/protoc-gen-es \
	  --es_out=web/client/src/protocol --es_opt=target=ts proto/anchor/session/v1/session.proto
	@$(BIN)/python tools/proto/generate_messages.py

STUBS := proto/gen web/client/src/protocol orchestrator/src/orchestrator/conversation/messages
proto-check: proto ## Fail when the committed generated code differs from the protos
	@git diff --exit-code --stat -- $(STUBS) && test -z "$$(git ls-files --others --exclude-standard $(STUBS))" \
	  || { echo "generated code differs from proto/anchor: run make proto and commit"; exit 1; }

UV := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --quiet \
  $(addprefix --no-emit-package ,anchor-proto service-kit espeak-worker vad-service stt-service tts-service gpu-monitor orchestrator llm-service anchor-cli)
ENGINE_PYPROJECTS := $(addsuffix /pyproject.toml,proto service-kit stt-service tts-service)
lock: .venv/dev.stamp ## Pin every dependency by hash, without index addresses
	@$(UV) build-requirements.in $(PYPROJECTS) --extra noise-suppression --extra pocketsphinx -o requirements.lock
	@$(UV) build-requirements.in -c requirements.lock -o build-requirements.lock
	@$(UV) dev-requirements.in -c requirements.lock -o dev-requirements.lock
	@for service in vad-service gpu-monitor anchor-cli; do \
	  $(UV) $$service/pyproject.toml -c requirements.lock -o $$service/requirements.lock; done
	@$(UV) stt-service/pyproject.toml --extra pocketsphinx -c requirements.lock -o stt-service/requirements.lock
	@$(UV) engines-requirements.in $(ENGINE_PYPROJECTS) --no-emit-package torch \
	  -c requirements.lock -o engines-requirements.lock
	@$(UV) vllm-requirements.in --overrides vllm-overrides.txt --no-emit-package torch -o vllm-requirements.lock
	@$(UV) orchestrator/pyproject.toml --extra noise-suppression --extra postgresql -c requirements.lock -o orchestrator/requirements.lock
	@$(UV) deploy/piper/requirements.in -c requirements.lock -o deploy/piper/requirements.lock
	@$(UV) web/requirements.in -o web/requirements.lock
	@$(UV) tts-service/pyproject.toml --extra espeak -c requirements.lock -o tts-service/requirements.lock
	@$(UV) llm-service/pyproject.toml --extra runtime -c requirements.lock -o llm-service/requirements.lock
	@$(UV) tts-service/gpu-requirements.in tts-service/pyproject.toml --extra espeak -c requirements.lock \
	  -o tts-service/gpu-requirements.lock

lock-check: .venv/dev.stamp ## Every lock installs from wheels only: Python 3.11 to 3.14, x86-64 and arm64; needs the package index
	@$(BIN)/python tools/locks/check_locks.py

clean: ## Remove everything that make created
	@rm -rf .venv .venv-engines .venv-vllm run web/node_modules web/dist
	@find models -mindepth 1 ! -name README.md -delete

.venv/run.stamp: requirements.lock $(PYPROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.13 ..."; exit 1; }
	@test -x $(BIN)/python || $(STEP) "creating the environment .venv" $(PYTHON) -m venv .venv
	@$(STEP) "installing the packages of requirements.lock" $(PIP) install --require-hashes -r requirements.lock
	@$(STEP) "installing the services" $(PIP) install --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@

# Verified files are kept; `make setup` verifies and fetches even when this stamp is there.
$(MODELS_STAMP): models.lock | .venv/run.stamp
	@$(WITH_ENV) $(BIN)/anchor models
	@touch $@

.venv/local-llm.stamp: .venv/run.stamp llm-service/requirements.lock
	@$(STEP) "installing the software of the local language model, 34 MB" $(PIP) install --require-hashes -r llm-service/requirements.lock
	@$(WITH_ENV) $(BIN)/anchor pull qwen2.5-coder-1.5b-instruct
	@touch $@

.venv/dev.stamp: .venv/run.stamp $(MODELS_STAMP) dev-requirements.lock
	@$(STEP) "installing the development tools" $(PIP) install --require-hashes -r dev-requirements.lock
	@touch $@

web/node_modules/.stamp: web/package-lock.json
	@$(NODE_SERVES) || { echo "the console needs Node.js $(NODE_NEEDED) or newer, with npm"; exit 1; }
	@$(STEP) "fetching the console's packages with npm" $(NPM) ci
	@touch $@

web/dist/index.html: web/node_modules/.stamp $(WEB_SOURCES)
	@$(STEP) "building the console" $(NPM) run --silent build -- --logLevel warn
	@touch $@

# torch is not in the lock: its builds differ by machine (CPU, CUDA), and a hash would select one.
ENGINES_PIP := .venv-engines/bin/pip --disable-pip-version-check --quiet --require-virtualenv
.venv-engines/stamp: engines-requirements.lock build-requirements.lock $(PYPROJECTS)
	@test -x .venv-engines/bin/python || $(PYTHON) -m venv .venv-engines
	@$(ENGINES_PIP) install --require-hashes -r build-requirements.lock
	@$(ENGINES_PIP) install --no-deps --require-hashes -r engines-requirements.lock
	@$(ENGINES_PIP) install torch==2.13.0
	@$(ENGINES_PIP) install --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@

# Without dependencies: the lock has all of them, except those that uv.toml and vllm-overrides.txt exclude.
VLLM_PIP := .venv-vllm/bin/pip --disable-pip-version-check --quiet --require-virtualenv
.venv-vllm/stamp: vllm-requirements.lock
	@test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	@$(VLLM_PIP) install --no-deps --require-hashes -r vllm-requirements.lock
	@$(VLLM_PIP) install --no-deps torch==2.13.0
	@touch $@
