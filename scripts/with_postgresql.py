"""Run a command with the catalogue on a PostgreSQL server that lives as long as the command.

`python -m scripts.with_postgresql -- uv run pytest tests/views`
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dbadmin.engines.postgresql.clients import find_clients
from dbadmin.engines.postgresql.cluster import Cluster, free_port

PASSWORD = "only-for-tests"  # noqa: S105


def server_folder() -> Path:
    """Return a folder with initdb of any version; SystemExit with a sentence when there is none."""
    for client in find_clients():
        if (client.folder / "initdb").exists():
            return client.folder
    raise SystemExit("No PostgreSQL server programs were found. Install PostgreSQL.")


def main() -> None:
    """Start the server, run the command, stop the server, and leave with the command's exit code."""
    command = [argument for argument in sys.argv[1:] if argument != "--"]
    with tempfile.TemporaryDirectory(prefix="dbadmin-pg-") as folder:
        Path(folder).chmod(0o755)
        server = Cluster(
            folder=Path(folder) / "server",
            bin_folder=server_folder(),
            password=PASSWORD,
            port=free_port(),
            durable=False,
        )
        server.start()
        url = f"postgres://postgres:{PASSWORD}@127.0.0.1:{server.port}/postgres"
        try:
            ended = subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False)
        finally:
            server.remove()
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
