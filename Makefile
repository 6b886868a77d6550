# make run: the bridge with a sandbox on this machine. make test: every test. Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check bench chaos fuzz pins clean

run: $(VENV)/run.stamp
	@$(BIN)/python -m bridge run

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks

chaos: $(VENV)/dev.stamp
	$(BIN)/python -m chaos

fuzz: $(VENV)/dev.stamp
	PYTHONPATH=.:tests $(BIN)/python -m web.interface.fuzzing $(FUZZ)

pins: $(VENV)/dev.stamp
	cd requirements && ../$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header run.in -o ../requirements.txt
	cd requirements && ../$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header dev.in -o dev.txt

clean:
	rm -rf $(VENV) var

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "The bridge needs Python 3.11 or newer; say which with: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run.stamp: requirements.txt $(VENV)/venv.stamp
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
