"""Make storages of the settings of buckets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from dbadmin.exceptions import StorageError
from dbadmin.storages.google_key import ServiceAccount, read_service_account
from dbadmin.storages.objectstore import ObjectStorage
from dbadmin.storages.uploads import Uploads
from dbadmin.text import Text

if TYPE_CHECKING:
    from obstore.store import AzureAccessKey, AzureSASToken, RetryConfig, S3Credential

CONNECT_SECONDS = 15
DEFAULT_REGION = "us-east-1"


def s3(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> ObjectStorage:
    """Return a bucket that speaks S3."""
    prefix, region = _prefix(settings), settings.get("region") or DEFAULT_REGION
    keys = _s3_keys(settings, secrets)
    endpoint = _s3_endpoint(settings)
    config = {
        "endpoint": endpoint,
        # Otherwise AWS_ENDPOINT_URL_S3 in the environment would come first and send archives elsewhere.
        "aws_endpoint_url_s3": endpoint,
        "region": region,
        "virtual_hosted_style_request": not settings.get("path_style", True),
        "checksum_algorithm": settings.get("checksum"),
        # One request for each object is understood by all; the other way only by some.
        "disable_bulk_delete": True,
    }

    def connect(options: dict[str, Any], retries: int) -> S3Store:
        return S3Store(
            settings["bucket"],
            prefix=prefix or None,
            config=_given(config),
            client_options=_client(settings, options),
            retry_config=_retries(retries),
            credential_provider=keys,
        )

    address = endpoint if not settings.get("path_style", True) else f"{endpoint}/{settings['bucket']}"
    return ObjectStorage(
        connect=connect,
        address=address,
        bucket=f"{_s3_server(settings)}/{settings['bucket']}",
        prefix=prefix,
        storage_class=settings.get("storage_class") or "",
        lock_days=int(settings.get("lock_days") or 0),
        lock_mode=settings.get("lock_mode") or "GOVERNANCE",
        uploads=_uploads(settings, secrets, address=address, region=region),
        secrets=tuple(secrets.values()),
    )


def gcs(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> ObjectStorage:
    """Return a bucket of Google Cloud Storage."""
    address = settings.get("endpoint") or "https://storage.googleapis.com"
    written = secrets.get("service_account_key")
    account = read_service_account(written) if written else None
    # Said although they are the defaults: the environment would come first, and send archives elsewhere.
    config = {"base_url": address, "skip_signature": False}

    def connect(options: dict[str, Any], retries: int) -> GCSStore:
        return GCSStore(
            settings["bucket"],
            prefix=_prefix(settings) or None,
            config=_given(config),
            client_options=_client(settings, options),
            retry_config=_retries(retries),
            credential_provider=account.credential if account else None,
        )

    return ObjectStorage(
        connect=connect,
        address=address,
        bucket=f"{address.rstrip('/')}/{settings['bucket']}",
        prefix=_prefix(settings),
        storage_class=settings.get("storage_class") or "",
        uploads=_google_uploads(settings, account, address=address),
        secrets=tuple(secrets.values()),
    )


def azure(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> ObjectStorage:
    """Return a container of Azure Blob Storage."""
    address = settings.get("endpoint") or f"https://{settings['account']}.blob.core.windows.net"
    keys = _azure_keys(secrets)
    # As above: what the environment says about these is not meant.
    config = {
        "account_name": settings["account"],
        "endpoint": address,
        "use_emulator": False,
        "skip_signature": False,
    }

    def connect(options: dict[str, Any], retries: int) -> AzureStore:
        return AzureStore(
            settings["container"],
            prefix=_prefix(settings) or None,
            config=_given(config),
            client_options=_client(settings, options),
            retry_config=_retries(retries),
            credential_provider=keys,
        )

    return ObjectStorage(
        connect=connect,
        address=address,
        bucket=f"{address.rstrip('/')}/{settings['account']}/{settings['container']}",
        prefix=_prefix(settings),
        storage_class=settings.get("storage_class") or "",
        secrets=tuple(secrets.values()),
    )


def _uploads(settings: Mapping[str, Any], secrets: Mapping[str, str], *, address: str, region: str) -> Uploads | None:
    """Return who to ask for unfinished uploads; None where the keys are not ours to sign with, but the machine's."""
    access, secret = settings.get("access_key_id"), secrets.get("secret_access_key")
    token = secrets.get("session_token") or ""
    if not access or not secret:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        access, secret, token = (os.environ.get(name, "") for name in names)
    if not access or not secret:
        return None
    return Uploads(
        address=address,
        region=region,
        access_key_id=access,
        secret_access_key=secret,
        session_token=token,
        ca_certificate=settings.get("ca_certificate") or "",
    )


def _google_uploads(settings: Mapping[str, Any], account: ServiceAccount | None, *, address: str) -> Uploads | None:
    """Return who to ask for unfinished uploads; None where the key is not ours to sign with, but the machine's."""
    if account is None:
        return None
    return Uploads(
        address=f"{address.rstrip('/')}/{settings['bucket']}",
        bearer=lambda: account.credential()["token"],
        ca_certificate=settings.get("ca_certificate") or "",
    )


def _s3_keys(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Callable[[], S3Credential] | None:
    """Return what gives the stored keys, and nothing of the environment with them; None where it is all there is."""
    access, secret = settings.get("access_key_id"), secrets.get("secret_access_key")
    if not access or not secret:
        return None
    token = secrets.get("session_token") or None
    return lambda: {"access_key_id": access, "secret_access_key": secret, "token": token, "expires_at": None}


def _azure_keys(secrets: Mapping[str, str]) -> Callable[[], AzureAccessKey | AzureSASToken] | None:
    """Return what gives the stored key or token, and nothing of the environment with them."""
    if key := secrets.get("account_key"):
        return lambda: {"access_key": key, "expires_at": None}
    if token := secrets.get("sas_token"):
        return lambda: {"sas_token": token.removeprefix("?"), "expires_at": None}
    return None


def _s3_endpoint(settings: Mapping[str, Any]) -> str:
    """Return the address for requests; with the bucket in the host's name obstore wants to be given that one."""
    endpoint = _s3_server(settings)
    if settings.get("path_style", True):
        return endpoint
    parts = urlsplit(endpoint)
    return parts._replace(netloc=f"{settings['bucket']}.{parts.netloc}").geturl()


def _s3_server(settings: Mapping[str, Any]) -> str:
    region = settings.get("region") or DEFAULT_REGION
    return str(settings.get("endpoint") or f"https://s3.{region}.amazonaws.com").rstrip("/")


def _client(settings: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Return options of the HTTP client. That http is allowed at all was looked at with the settings."""
    client = {"connect_timeout": timedelta(seconds=CONNECT_SECONDS), **options}
    client["allow_http"] = str(settings.get("endpoint") or "").startswith("http://")
    if authority := settings.get("ca_certificate"):
        try:
            client["root_certificate"] = Path(authority).read_bytes()
        except OSError as error:
            raise StorageError(
                Text("The certificate authority {path} cannot be read: {reason}.", path=authority, reason=str(error)),
                Text("Correct its path in the storage's settings."),
            ) from error
    return client


def _retries(number: int) -> RetryConfig:
    return {"max_retries": number, "retry_timeout": timedelta(seconds=15 * number)}


def _prefix(settings: Mapping[str, Any]) -> str:
    return str(settings.get("prefix") or "").strip("/")


def _given(config: Mapping[str, Any]) -> Any:
    return {name: value for name, value in config.items() if value not in ("", None)}
