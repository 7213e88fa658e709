PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-long faults puppets lint format docs

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

# What `make test` leaves out, since its tests cover most of it.
test-long: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadscope -m long

# The long fault campaign: minutes of kills and damaged files, which `make test` leaves out.
faults: $(VENV)/installed-test
	$(BIN)/python -m pytest tests/faults -m faults

# The options in commands.md and the house of architecture.md, which are committed; the API's pages, which are not.
docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c requirements.lock -e '.[docs,torch,eval]'
	$(BIN)/python docs/build.py
	$(BIN)/python -m pdoc --docformat google --output-directory docs/api motion_transformer_jax

# The model that comes with the package: hours on two cores; it is copied into the package by hand.
puppets: $(VENV)/installed
	$(BIN)/motrans train --config configs/puppets64.py --workdir out/landmarks64 --config.train.objective=landmarks \
		--config.train.num_steps=1656 --config.train.batch_size=32 --config.optimizer.ema_decay=0.99 \
		--config.optimizer.learning_rate_motion_estimator=1e-3
	$(BIN)/motrans train --config configs/puppets64.py --workdir out/puppets64 --config.train.init_from=out/landmarks64
	$(BIN)/motrans train --config configs/puppets.py --workdir out/puppets128 --config.train.init_from=out/puppets64
	$(BIN)/motrans convert compact out/puppets128 --out out/puppets --overwrite

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m compileall -q motion_transformer_jax configs tests

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
