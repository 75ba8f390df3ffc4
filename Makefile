# One target each; every target installs what it needs into .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup mm tune paper test check system replays drill bench clean
.DEFAULT_GOAL := mm

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[dev,clients,bench,tune]'
	touch $@

setup: .venv/.ready

mm: setup  ## the main job: fifty symbols on simulated venues until Ctrl-C
	$(BIN)/python -m pipelines.mm --symbols top50

MODEL ?= glft
SEARCH ?= quote.gamma=0.02:0.5:log quote.levels_count=1,2,3
TUNING ?= runs/tuning
tune: setup  ## make tune RECORDING=eth.gz: the defaults, a search, what it chose, both side by side
	$(if $(RECORDING),,$(error give a recording: make tune RECORDING=eth.gz))
	$(BIN)/python -m pipelines.backtest --data $(RECORDING) --model $(MODEL) --run-dir runs/plain
	$(BIN)/python -m pipelines.tune --data $(RECORDING) --model $(MODEL) $(SEARCH:%=--search %) --run-dir $(TUNING)
	$(BIN)/python -m pipelines.backtest --data $(RECORDING) --conf $(TUNING)/best.yaml --run-dir runs/tuned
	$(BIN)/python -m pipelines.report runs/plain runs/tuned

paper: setup  ## make paper SYMBOLS=ETHUSDT: the tuned conf on the real venue's public data
	$(if $(SYMBOLS),,$(error give symbols: make paper SYMBOLS=ETHUSDT))
	$(BIN)/python -m pipelines.mm --mode paper --symbols $(SYMBOLS) --conf $(TUNING)/best.yaml

check: setup  ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_floors.py

test: setup  ## everything but system tests: quick, offline, no Ray
	$(BIN)/python -m pytest -q -m "not ray and not slow"

system: setup  ## real Ray, real sockets, actors killed
	$(BIN)/python -m pytest -q -m "(ray or slow) and not full"

replays: setup  ## whole recordings through the whole fleet, twice each, and as a backtest: an hour
	$(BIN)/python -m pytest -q -s -m full tests/system/test_replays.py

drill: setup  ## fifty symbols while the model server fails in every way and the pool's actors are killed: a quarter of an hour
	$(BIN)/python -m pytest -q -s -m full tests/system/test_relay_drill.py

# Each prints JSON. The last two lists play a recording; the last also needs an interpreter with hftbacktest and nautilus_trader.
BENCH := links llm_clients llm_cost llm_limits portfolio quote_engine risk_renewals sim_market websocket_wire
BENCH_RECORDED := chain_replay feed_throughput lock_step
BENCH_LIBRARIES := backtest_speed crosscheck_hftbacktest
bench: setup  ## make bench [RECORDING=eth.gz [LIBRARIES=/tmp/hft/bin/python]]
	for name in $(BENCH); do $(BIN)/python benchmarks/$$name.py || exit 1; done
ifdef RECORDING
	for name in $(BENCH_RECORDED); do $(BIN)/python benchmarks/$$name.py $(RECORDING) || exit 1; done
ifdef LIBRARIES
	for name in $(BENCH_LIBRARIES); do $(BIN)/python benchmarks/$$name.py $(RECORDING) --python $(LIBRARIES) || exit 1; done
endif
endif

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
