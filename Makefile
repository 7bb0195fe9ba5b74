# What developers do daily; `make` lists the targets.
.PHONY: help run test lint format messages vendor screenshots bench

help:
	@grep -E '^[a-z]+:.*#' Makefile | sed 's/:.*#/ —/'

run:  # start the dashboard with its sample applications
	uv run manage.py quickstart

test:  # all tests, engines real
	uv run pytest

lint:  # what CI checks before the tests
	uv run ruff check .
	uv run ruff format --check .
	uv run mypy
	uv run manage.py makemigrations --check --dry-run

format:  # mend what can be mended by itself
	uv run ruff check --fix .
	uv run ruff format .

messages:  # bring the Japanese catalogue up to date and compile it
	uv run python -m scripts.messages

vendor:  # fetch the pinned front-end files again (needs npm)
	uv run python -m scripts.vendor

screenshots:  # pictures of every page, for README and for looking
	uv run python -m scripts.screenshots

bench:  # speed and memory beside pg_dump, pg_restore and sqlite3
	uv run python -m benchmarks.engines
