PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint format

$(VENV)/installed: setup.cfg pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c requirements.lock -e .
	touch $@

# Pinned and first, so that the extras cannot ask for a newer one; the CPU build is enough where the index has it.
$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c requirements.lock torch==2.13.0
	$(BIN)/python -m pip install --quiet -c requirements.lock -e '.[test,torch,beam,eval,app]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m motion_transformer_jax.demo --out out/demo

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m compileall -q motion_transformer_jax configs tests

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
