"""What is special to Google and Azure: their keys, and that nothing of the environment gets between."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dbadmin.exceptions import StorageError, ValidationFailed
from dbadmin.storages import get_storage
from dbadmin.storages.objectstore import ObjectStorage
from tests.storages.google import GoogleServer, new_key, service_account
from tests.storages.servers import BUCKET, boto

MEGABYTE = 1 << 20
ELSEWHERE = "http://127.0.0.1:9"
AZURE = {"account": "acc", "container": "con"}


@contextlib.contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """Yield an address, and what each request that arrived there was authorised by; the answer is always 404."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers['Authorization']}")
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_arguments: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOOGLE_BASE_URL", ELSEWHERE),
        ("GOOGLE_SERVICE_ACCOUNT", "{file}"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "{file}"),
        ("GOOGLE_SERVICE_ACCOUNT_KEY", service_account(new_key())),
        ("GOOGLE_SKIP_SIGNATURE", "true"),
    ],
)
def test_the_stored_google_key_is_used_whatever_the_environment_says(
    google_server: GoogleServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    other = tmp_path / "other.json"
    other.write_text(service_account(new_key()))
    monkeypatch.setenv(name, value.replace("{file}", str(other)))
    storage = get_storage("gcs", google_server.settings("env"), google_server.secrets)
    storage.write("a/b", [b"x"])
    storage.discard("a")


@pytest.mark.parametrize("secret", [{"account_key": "c2VjcmV0"}, {"sas_token": "?sv=1&sig=mine"}])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_STORAGE_ENDPOINT", ELSEWHERE),
        ("AZURE_STORAGE_ACCOUNT_KEY", "b3RoZXI="),
        ("AZURE_STORAGE_SAS_TOKEN", "sv=2&sig=other"),
        ("AZURE_STORAGE_TOKEN", "other"),
        ("AZURE_STORAGE_USE_EMULATOR", "true"),
        ("AZURE_SKIP_SIGNATURE", "true"),
    ],
)
def test_the_stored_azure_key_is_used_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, secret: dict[str, str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with listener() as (address, heard):
        with pytest.raises(StorageError):
            get_storage("azure", AZURE | {"endpoint": f"{address}/acc"}, secret).stat("a/b")
        assert heard
        assert all(("SharedKey acc:" in each) if "account_key" in secret else "sig=mine None" in each for each in heard)


def test_without_an_endpoint_archives_go_to_the_provider_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_BASE_URL", "AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT"):
        monkeypatch.setenv(name, "https://elsewhere.example.com")
    key = json.dumps(json.loads(service_account(new_key())) | {"gcs_base_url": "https://elsewhere.example.com"})
    google = get_storage("gcs", {"bucket": "b"}, {"service_account_key": key})
    azure = get_storage("azure", AZURE, {"account_key": "c2VjcmV0"})
    for storage, host in ((google, "storage.googleapis.com"), (azure, "acc.blob.core.windows.net")):
        assert isinstance(storage, ObjectStorage)
        assert storage.server == (host, 443)
        assert "elsewhere" not in str(storage.connect({}, 0).config)


@pytest.mark.parametrize(
    ("kind", "secrets", "problem"),
    [
        ("gcs", {"service_account_key": "/etc/passwd"}, "no key of a service account"),
        ("gcs", {"service_account_key": "[]"}, "no key of a service account"),
        ("gcs", {"service_account_key": '{"private_key": "hunter2"}'}, "no key of a service account"),
        ("azure", {"account_key": "hunter2!"}, "no key of a storage account"),
        ("azure", {"sas_token": "hunter2"}, "no SAS token"),
    ],
)
def test_keys_that_cannot_be_right_are_refused_and_not_shown(kind: str, secrets: dict[str, str], problem: str) -> None:
    settings = {"bucket": "b"} if kind == "gcs" else AZURE
    with pytest.raises(ValidationFailed, match=problem) as error:
        get_storage(kind, settings, secrets)
    assert "hunter2" not in f"{error.value!r}{vars(error.value)}"


def test_a_missing_bucket_of_google_is_never_an_empty_storage(google_server: GoogleServer) -> None:
    storage = get_storage("gcs", google_server.settings() | {"bucket": "vanished"}, google_server.secrets)
    for use in (lambda: storage.stat("a/b"), lambda: list(storage.list()), lambda: storage.write("a/b", [b"x"])):
        with pytest.raises(StorageError, match="no such bucket"):
            use()


def test_the_storage_class_reaches_google(google_server: GoogleServer) -> None:
    settings = google_server.settings("classes", storage_class="NEARLINE")
    storage = get_storage("gcs", settings, google_server.secrets)
    storage.write("small", [b"x"])
    storage.write("large", [bytes(MEGABYTE)] * 20)
    for name in ("small", "large"):
        found = boto(google_server.s3).head_object(Bucket=BUCKET, Key=f"classes/{name}")
        assert found["Metadata"] == {"class": "NEARLINE"}
        storage.delete(name)
