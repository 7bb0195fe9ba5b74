"""Azurite, Microsoft's own emulator of Azure Blob Storage, for whoever has it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import html
import os
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.storages.servers import BUCKET, free_port, running

ACCOUNT = "dbadmintests"
KEY = base64.b64encode(b"a secret key of 32 bytes exactly").decode()
# The path of azurite-blob. It comes by npm only, so the contract is run against it by hand.
AZURITE = os.environ.get("DBADMIN_TEST_AZURITE", "")


@dataclass(frozen=True, kw_only=True)
class AzureServer:
    """``settings`` and ``secrets`` are what ``get_storage("azure", …)`` takes."""

    port: int

    @property
    def secrets(self) -> dict[str, str]:
        return {"account_key": KEY}

    def settings(self, prefix: str = "", *, port: int | None = None, **others: Any) -> dict[str, Any]:
        endpoint = f"http://127.0.0.1:{port or self.port}/{ACCOUNT}"
        return {"account": ACCOUNT, "container": BUCKET, "prefix": prefix, "endpoint": endpoint} | others

    def ask(self, method: str, **query: str) -> str:
        """Send a signed request about the container, not by our client."""
        query = {"restype": "container"} | query
        now = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S GMT}"
        headers = f"x-ms-date:{now}\nx-ms-version:2021-08-06"
        resource = f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        words = "\n".join((method, *[""] * 11, headers, resource))
        signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), words.encode(), hashlib.sha256)).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{ACCOUNT}/{BUCKET}?"
            + "&".join(f"{name}={quote(value)}" for name, value in query.items()),
            method=method,
            headers=dict(line.split(":", 1) for line in headers.splitlines())
            | {"Authorization": f"SharedKey {ACCOUNT}:{signature}"},
        )
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())

    def names(self, prefix: str) -> list[str]:
        """Return the names of all blobs. Blocks that nobody has put together Azure throws away after a week."""
        said = self.ask("GET", comp="list", prefix=prefix)
        return [html.unescape(name) for name in re.findall(r"<Name>(.*?)</Name>", said)]


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[AzureServer]:
    port = free_port()
    argv = (AZURITE, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder))
    options = ("--skipApiVersionCheck", "--disableProductStyleUrl", "--disableTelemetry", "--silent")
    with running((*argv, *options), port=port, env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}):
        server = AzureServer(port=port)
        server.ask("PUT")
        yield server


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    with azurite(tmp_path_factory.mktemp("azure")) as server:
        yield server
