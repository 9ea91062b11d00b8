# setup demo check test bench plugin clean: what CI runs, and what you run.

# Debian's own Python first: other users can read it, so that their jobs and the sandbox can run it.
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
# What of pyproject's extras goes into it.
EXTRAS ?= test dev
BIN := $(VENV)/bin
CYTHON := $(BIN)/cython
export HETSLURM_PLUGIN_DIR ?= $(CURDIR)/build

RUN_PACKAGES := slurm-wlm slurm-wlm-basic-plugins munge libslurm-dev gcc libc6-dev make python3-venv python3-dev
TEST_PACKAGES := $(RUN_PACKAGES) slurmdbd slurm-wlm-mysql-plugin mariadb-server-core mariadb-client-core \
	clang clang-format libclang-rt-14-dev binutils g++ libxrt1 libxrt-dev uuid-dev

C_SOURCES := $(wildcard native/*.[ch] native/fuzz/*.[ch] tests/*/*.[ch] bench/*.c)
PACKAGE_SOURCES := setup.py pyproject.toml LICENSE README.md $(wildcard native/*.[ch] native/*.py*  native/*.px*) \
	$(wildcard gpu/*.py fpga/*.py* fpga/*.px*) \
	$(shell find hetslurm cloudburst -type f ! -path '*/__pycache__/*')

.PHONY: help setup demo check format test matrix bench plugin fuzz clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: build/.installed plugin ## install what is missing, build, install into .venv

build/.packages-run: Makefile tools/install-packages.sh
	@tools/install-packages.sh $(RUN_PACKAGES)
	@mkdir -p build && touch $@

build/.packages-test: Makefile tools/install-packages.sh
	@tools/install-packages.sh $(TEST_PACKAGES)
	@mkdir -p build && touch $@

build/.venv: pyproject.toml | build/.packages-run
	@echo "hetslurm: installing Python packages into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python tools/requirements.py pyproject.toml $(EXTRAS) > build/requirements.txt
	@$(BIN)/pip install -q --disable-pip-version-check -r build/requirements.txt
	@touch $@

build/.installed: $(PACKAGE_SOURCES) | build/.venv
	@echo "hetslurm: building and installing hetslurm into $(VENV)"
	@$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall . \
		> build/install.log 2>&1 || { tail -n 40 build/install.log >&2; exit 1; }
	@$(BIN)/python -P -c 'import sys; from importlib.util import find_spec; sys.exit(not find_spec("hetslurm.fpga._xrt"))' \
		|| echo "hetslurm: built without the FPGA bindings, for want of XRT's headers or a C++ compiler (Debian: libxrt-dev uuid-dev g++)"
	@touch $@

build/.venv build/.installed: | build/.packages-run

# Tests and checks never go without the FPGA bindings: their headers come first, and their absence is an error.
test check: export HETSLURM_REQUIRE_XRT := 1
build/.installed: $(if $(filter test check,$(MAKECMDGOALS)),build/.packages-test)

include native/plugin.mk
include $(wildcard native/fuzz/*.mk)

demo: setup ## a real Slurm on this machine, sample jobs, what went where and why
	@$(BIN)/hetslurm demo

check: build/.packages-test setup ## format, lint, types, layers, C warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	clang-format --dry-run -Werror $(C_SOURCES)
	rm -rf build/typed && $(BIN)/python setup.py -q build_py --build-lib build/typed 2> /dev/null
	cd build/typed && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml
	cd build/typed && $(CURDIR)/$(BIN)/lint-imports --config $(CURDIR)/pyproject.toml

format: build/.packages-test build/.venv ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	clang-format -i $(C_SOURCES)

test: build/.packages-test setup ## everything, a real Slurm included
	$(MAKE) fuzz FUZZ_SECONDS=20
	$(BIN)/pytest --junitxml=build/tests.xml $(PYTEST_ARGS)

matrix: build/.packages-test setup ## what works on Slurm 22.05, 24.11 and 26.05; writes README's table (root; docs/matrix.md)
	$(BIN)/python tools/matrix/matrix.py --pyslurm="$(PYSLURM_SOURCE)" $(MATRIX_ARGS)

fuzz: fuzz-directives fuzz-snapshot ## libFuzzer over both parsers of untrusted bytes (FUZZ_SECONDS each)

bench: setup ## measure, write build/bench.json
	@mkdir -p build/path && ln -sfn ../../bench build/path/bench
	PYTHONPATH=build/path $(BIN)/python -P -m bench --out build/bench.json

clean: ## remove what the build made
	rm -rf build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
