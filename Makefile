# `make run` brings FR02 up, `make test` tests it: each by itself, on a machine that has Python 3.11 or later.
#   make run PORT=8080               another port
#   make test ARGS="-k voices -x"    arguments for pytest
#   VENV=…                           another Python environment than .venv

VENV ?= .venv
ifdef STRIPE
export FR02_STRIPE = $(STRIPE)
endif
ifdef FISH
export FR02_FISH = $(FISH)
endif
python = "$(VENV)/bin/python"
find_python = for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$python" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && exec "$$python" -m fr02.install --venv "$(VENV)"
install = @$(find_python) $(1); done; echo "FR02 demande Python 3.11 ou plus récent : installez-le, puis relancez la commande." >&2; exit 1

.PHONY: run test lint fmt bench screenshots environment environment-dev

run: environment
	@exec $(python) -m fr02.run

# Tests say themselves what they need: an operator's .env must not reach them.
test: export FR02_ENV_FILE :=
test: environment-dev
	@$(python) -m pytest $(ARGS)

# The types of the settings are read, no database is: the address only keeps mypy from starting one.
lint: environment-dev
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@DATABASE_URL=postgresql://localhost/fr02 $(python) -m mypy .

fmt: environment-dev
	@$(python) -m ruff check --fix .
	@$(python) -m ruff format .

bench: environment-dev
	@$(python) -m bench

screenshots: environment-dev
	@$(python) -m tests.screenshots

environment:
	$(call install)

environment-dev:
	$(call install,--dev)
