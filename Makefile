# `make help` lists what there is. Every target makes the environment first where it is missing or out of date.
#   make PYTHON=/path/to/python3.12 test    builds on another interpreter
#   make test ARGS="-k conformal -x"        passes options on (test, train, notebooks)

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
WORKERS ?= 2
OUT := out
# Programs that tests and notebooks start are those of this environment.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"
# Python keeps what it has compiled, in .venv and here, even where it is told not to, as in many containers: every
# program would compile a thousand modules again, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo train tuned champion golden docs site benchmark-plausibility benchmark-accuracy benchmark-baybe benchmark-campaigns benchmark-serving benchmark-speed test test-slow test-all dist lint format notebooks lock ui clean distclean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## make .venv with the locked packages and this project in it

$(STAMP): requirements/all.lock requirements/build.lock pyproject.toml tools/setup_venv.sh
	@PYTHON="$(PYTHON)" tools/setup_venv.sh
	@touch $@

demo: $(STAMP) ## check the data, train the three models, promote them, predict examples/recipes.csv
	@printf '\n1/4  nasicon-ml data validate\n'
	@mkdir -p $(OUT)
	@$(BIN)/nasicon-ml data validate > $(OUT)/validation.txt || { cat $(OUT)/validation.txt; exit 1; }
	@tail -n 1 $(OUT)/validation.txt
	@printf '\n2/4  nasicon-ml train\n'
	@env -u MLFLOW_TRACKING_URI $(BIN)/nasicon-ml train
	@printf '\n3/4  nasicon-ml registry promote\n'
	@env -u MLFLOW_TRACKING_URI $(BIN)/nasicon-ml registry promote || test $$? -eq 1  # 1: refused, the old one stays
	@printf '\n4/4  nasicon-ml predict examples/recipes.csv\n'
	@env -u MLFLOW_TRACKING_URI $(BIN)/nasicon-ml predict examples/recipes.csv --model models:/nasicon-recipe@champion \
		--output $(OUT)/predictions.csv --plot $(OUT)/predictions.png
	@test -s mlflow.db && test -d mlartifacts && test -s $(OUT)/predictions.csv && test -s $(OUT)/predictions.png
	@printf '\n%s\n' 'Where things are, in $(CURDIR):'
	@printf '  %-22s %s\n' \
		$(OUT)/validation.txt 'what looks odd in the dataset, row by row' \
		mlflow.db 'runs: parameters, scores, the registered model nasicon-recipe' \
		mlartifacts/ 'their files: plots (folder named above), out-of-fold predictions, bundle' \
		$(OUT)/predictions.csv 'the predictions, with intervals and nearest pellets' \
		$(OUT)/predictions.png 'the same as a picture' \
		'make ui' 'shows the runs in a browser'

train: $(STAMP) ## train, record in MLflow and register; ARGS="--trials 20" and the like
	@$(BIN)/nasicon-ml train $(ARGS)

# The committed model is the champion of a store of its own; a new one has to pass the gate beside it.
# ARGS='--force --reason "..."' overrides the gate, as in 'nasicon-ml registry promote'.
CHAMPIONS := MLFLOW_TRACKING_URI=sqlite:///$(OUT)/champion/mlflow.db $(BIN)/nasicon-ml
champion: $(STAMP) ## train the committed default model anew, let it pass the gate, and renew what tests hold it to
	@rm -rf $(OUT)/champion && mkdir -p $(OUT)/champion
	@$(CHAMPIONS) registry import models/champion
	@$(CHAMPIONS) registry promote --force --reason 'what a new one is compared with' >/dev/null
	@$(CHAMPIONS) train --repeats 3 >/dev/null
	@$(CHAMPIONS) registry promote $(ARGS)
	@$(CHAMPIONS) registry export champion models/champion
	@$(MAKE) ARGS= golden benchmark-plausibility

tuned: $(STAMP) ## the full training: settings searched inside every fold (10 trials, 11 min on 2 cores)
	@$(BIN)/nasicon-ml train --trials 10 $(ARGS)

golden: $(STAMP) ## renew the golden predictions from the committed model
	@$(BIN)/python tools/renew_golden.py

docs: $(STAMP) ## renew what README, docs and notebooks show of the committed model
	@$(IN_VENV) $(BIN)/python -m tools.run_notebooks
	@$(BIN)/nasicon-ml predict examples/recipes.csv --plot docs/images/predictions.png >/dev/null
	@$(BIN)/nasicon-ml profile --formula "LATP x=0.3" --sintering-temperature 750:1050:25 --figure docs/images/profile.png >/dev/null
	@$(BIN)/nasicon-ml predict --formula "LATP x=0.3" --sintering-temperature 900 --atmosphere Ar --explain \
		--figure docs/images/why.png >/dev/null
	@$(BIN)/nasicon-ml recommend examples/screening/small.yaml --own examples/my_pellets.xlsx --batch 3 \
		--figure docs/images/next.png >/dev/null
	@mkdir -p $(OUT) && rm -rf $(OUT)/found
	@$(BIN)/nasicon-ml screen examples/screening/small.yaml --output $(OUT)/found >/dev/null
	@cp $(OUT)/found/front.png docs/images/front.png
	@$(BIN)/python -m tools.uncertainty_tables
	@$(BIN)/python -m tools.difference_tables
	@$(BIN)/python -m tools.serving_page
	@$(BIN)/python -m tools.renew_docs

site: $(STAMP) ## build the documentation as a site with search into build/site, without network
	@$(BIN)/python -m tools.build_site

benchmark-plausibility: $(STAMP) ## hold the committed model to what the literature states
	@$(BIN)/python -m benchmarks.plausibility

benchmark-accuracy: $(STAMP) ## ours beside what others would use, by source; ARGS="--protocols P1" and the like
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.accuracy $(ARGS)

benchmark-campaigns: $(STAMP) ## would campaigns have found the best recipes of published series sooner (5 min)
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.campaigns $(ARGS)

# Needed when series of the dataset change, and for another BayBE: an hour, and 5 GB for PyTorch in build/baybe.
benchmark-baybe: $(STAMP) ## choose as BayBE does at its defaults, in an environment of its own, then benchmark-campaigns
	@tools/setup_baybe.sh
	@$(BIN)/python -m benchmarks.campaigns --for-baybe build/series.json
	@OMP_NUM_THREADS=1 build/baybe/bin/python tools/baybe_paths.py build/series.json build/baybe_paths.json
	@$(MAKE) benchmark-campaigns ARGS="--from-baybe build/baybe_paths.json"

benchmark-serving: $(STAMP) ## 2,000 requests of 1 to 200 recipes to MLflow's server, 4 clients at a time (2 to 6 min)
	@$(IN_VENV) OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.serving $(ARGS)

benchmark-speed: $(STAMP) ## screening beside what a user would write and the trees alone, 10^3 to 10^7 recipes (20 min)
	@$(BIN)/python -m benchmarks.speed $(ARGS)

# What comes last on a command line counts: ARGS="-n 0" runs the tests one after the other in one process.
PYTEST := $(IN_VENV) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
test: $(STAMP) ## run the tests that are quick (6 to 10 min on 2 cores); ARGS="-k conformal -x" and the like
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(STAMP) ## run those that train, start servers or inject faults (12 to 25 min on 2 cores)
	@$(PYTEST) --no-loadscope-reorder -m slow $(ARGS)

test-all: $(STAMP) ## run both; ARGS="tests/faults" runs all that is there
	@$(PYTEST) $(ARGS)

dist: $(STAMP) ## build source archive and wheel in dist/ and check them
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation > /dev/null
	@$(BIN)/python -m twine check --strict dist/*

lint: $(STAMP) ## ruff (rules and layout) and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP) ## let ruff put the layout right
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

notebooks: $(STAMP) ## execute the notebooks
	@$(IN_VENV) $(BIN)/python -m pytest --nbmake --nbmake-timeout=900 $(ARGS) notebooks

ui: $(STAMP) ## show the runs in a browser
	@printf '\nRuns and models: http://127.0.0.1:5000/#/experiments/1?workflowType=machine_learning\n\n'
	@MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db

# Same pins as far as they still fit; make lock ARGS=--upgrade takes the newest. Extra sources of packages that this
# machine may have are shut out, so that the hashes are the public ones.
LOCK := env -u UV_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS UV_CUSTOM_COMPILE_COMMAND="make lock" \
	$(BIN)/uv --no-config pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-annotate $(ARGS)

lock: $(STAMP) ## renew the lock files from pyproject.toml
	$(LOCK) --group pyproject.toml:build --output-file requirements/build.lock
	$(LOCK) pyproject.toml --extra dev --excludes requirements/excluded.txt --output-file requirements/all.lock
	$(LOCK) --group pyproject.toml:server --constraints requirements/all.lock --output-file requirements/server.lock

clean: ## remove caches and out/; recorded runs stay
	rm -rf $(OUT) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print | xargs rm -rf

distclean: clean ## also remove .venv and the recorded runs
	rm -rf $(VENV) mlruns mlartifacts mlflow.db mlflow.db-*
