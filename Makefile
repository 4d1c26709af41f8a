# Thin calls of `python -m local`, which works on Windows too. Any Python 3.13 will do: make demo PYTHON=...
# ARGS goes to the command: make test ARGS="-k policy", make serve ARGS="--fixed-ports", make demo ARGS=--help.
PYTHON ?= $(shell for p in python3.13 python3 python; do $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo $$p && break; done)
ifeq ($(strip $(PYTHON)),)
$(error Nightshift needs Python 3.13 on the PATH, or: make demo PYTHON=/path/to/python3.13)
endif

.PHONY: help demo serve test lint check engine docs examples bench package infra smoke
help:
	@$(PYTHON) -m local --help
demo:
	$(PYTHON) -m local demo $(if $(JSON),--json $(JSON)) $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)
serve:
	$(PYTHON) -m local serve $(if $(PORT),--port $(PORT)) $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)
test lint check engine docs examples bench package infra smoke:
	$(PYTHON) -m local $@ $(ARGS)
