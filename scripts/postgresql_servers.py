"""Fetch the PostgreSQL versions that the engine tests need: `python -m scripts.postgresql_servers`."""

from __future__ import annotations

from dbadmin.engines.postgresql import fetch
from tests.servers import CACHE


def main() -> None:
    """Fetch what is not there yet, and say where it is."""
    for major in fetch.VERSIONS:
        print(fetch.install(major, CACHE))


if __name__ == "__main__":
    main()
