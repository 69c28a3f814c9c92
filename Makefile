# `make run` and `make test` are all a newcomer needs; both install what is missing first.
.PHONY: setup run test test-fast soak
PYTEST = .venv/bin/python -m pytest

setup:
	@sh cti/embedded/setup.sh

run: setup
	@exec setpriv --pdeathsig TERM .venv/bin/cti up --demo $(ARGS)

test: setup
	@exec $(PYTEST) -n 4 --dist loadgroup

test-fast: setup
	@exec $(PYTEST) -n 2 -m "not services and not browser and not soak"

soak: setup  # half an hour; CTI_SOAK_SECONDS=300 make soak: less
	@exec $(PYTEST) -m soak
