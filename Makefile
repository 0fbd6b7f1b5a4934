# Set-up, the main job and the tests, on a machine with nothing but Python 3.11.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test release lint

demo: .venv/recipes  ## Run the dropout recipe: 10 seeds on bundled data.
	$(BIN)/regimen run dropout --out regimen-evidence

test: .venv/test  ## Run the tests.
	$(BIN)/python -m pytest -n 2

release: .venv/test  ## Run all tests, those too that CI has no time for.
	$(BIN)/python -m pytest -n 2 -m ""

lint: .venv/dev  ## Lint, format and type checks.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.venv/%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[recipes,$*]'
	touch $@
