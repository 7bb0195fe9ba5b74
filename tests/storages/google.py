"""A server that answers as Google Cloud Storage does: its XML API and its tokens before moto's buckets.

Google's XML API is S3's with headers of its own names: requests, conditions and tokens are what is looked at here.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.storages.servers import BUCKET, S3Server, boto, free_port, running

ACCOUNT = "backups@project.iam.gserviceaccount.com"
REFUSED = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>AuthenticationRequired</Code>"
    b"<Message>Authentication required.</Message></Error>"
)
LOCKED = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>RetentionPolicyNotMet</Code>"
    b"<Message>Object is subject to bucket's retention policy and cannot be deleted or overwritten.</Message></Error>"
)
# What moto takes for who asks, once the token was looked at.
SOMEBODY = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True, kw_only=True)
class GoogleServer:
    """``settings`` and ``secrets`` are what ``get_storage("gcs", …)`` takes; ``s3`` is the door for other clients."""

    s3: S3Server
    key: rsa.RSAPrivateKey = field(repr=False)
    folder: Path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let the bucket's retention policy hold every object while the block runs."""
        lock = self.folder / "locked"
        lock.touch()
        try:
            yield
        finally:
            lock.unlink()

    @property
    def secrets(self) -> dict[str, str]:
        return {"service_account_key": service_account(self.key)}

    def settings(self, prefix: str = "", *, port: int | None = None, **others: Any) -> dict[str, Any]:
        endpoint = f"http://127.0.0.1:{port or self.s3.port}"
        return {"bucket": BUCKET, "prefix": prefix, "endpoint": endpoint} | others


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_account(key: rsa.RSAPrivateKey) -> str:
    """Return the JSON file that Google gives for a service account."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "0123456789abcdef",
            "private_key": private.decode(),
            "client_email": ACCOUNT,
            "client_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    )


@contextlib.contextmanager
def google(folder: Path) -> Iterator[GoogleServer]:
    """Run the server in a process of its own, with one empty bucket."""
    key, port = new_key(), free_port()
    public = folder / "public.pem"
    encoding = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(*encoding))
    argv = (sys.executable, "-m", "tests.storages.google", str(port), str(folder))
    with running(argv, port=port, cwd=Path(__file__).parents[2]) as pid:
        server = S3Server(port=port, pid=pid)
        boto(server).create_bucket(Bucket=BUCKET)
        yield GoogleServer(s3=server, key=key, folder=folder)


@dataclass(frozen=True)
class Dialect:
    """Translate what Google is asked into what moto understands; other clients sign as they would for S3."""

    buckets: Callable[..., Iterable[bytes]]
    public: rsa.RSAPublicKey
    lock: Path

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if authorization.startswith("Bearer "):
            if not self._accepts(authorization.removeprefix("Bearer ")):
                return _answer(environ, start_response, "401 Unauthorized", REFUSED)
            if environ["REQUEST_METHOD"] == "DELETE" and not environ["QUERY_STRING"] and self.lock.exists():
                return _answer(environ, start_response, "403 Forbidden", LOCKED)
            environ["HTTP_AUTHORIZATION"] = SOMEBODY
        if environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None) == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        if kept := environ.pop("HTTP_X_GOOG_STORAGE_CLASS", None):
            environ["HTTP_X_AMZ_META_CLASS"] = kept
        return self.buckets(environ, start_response)

    def _accepts(self, token: str) -> bool:
        """Say whether the account's key signed the token, and that it has not expired."""
        try:
            head, claims, signature = token.split(".")
            signed = f"{head}.{claims}".encode()
            self.public.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature):
            return False
        said = json.loads(_decoded(claims))
        return bool(
            said["iss"] == ACCOUNT and said["scope"].endswith("/auth/cloud-platform") and said["exp"] > time.time()
        )


def _answer(environ: dict[str, Any], start_response: Callable[..., Any], status: str, said: bytes) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response(status, [("Content-Type", "application/xml; charset=UTF-8")])
    return [said]


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.fixture(scope="session")
def google_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    with google(tmp_path_factory.mktemp("google")) as server:
        yield server


def main(port: int, folder: Path) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    key = serialization.load_pem_public_key((folder / "public.pem").read_bytes())
    assert isinstance(key, rsa.RSAPublicKey)
    dialect = Dialect(DomainDispatcherApplication(create_backend_app), key, folder / "locked")
    run_simple("127.0.0.1", port, dialect, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
