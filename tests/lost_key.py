"""The encryption key of the installation is lost: what it has locked, nobody opens any more."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet

from dbadmin.models import Storage
from tests.factories import make_storage

SECRET = "tr0ub4dor&3"


def lose_key(settings: Any) -> None:
    """Go on with another key; ``settings`` is the fixture, which puts the former one back."""
    settings.ENCRYPTION_KEY_FILE = None
    settings.ENCRYPTION_KEY = Fernet.generate_key().decode()


def make_cloud(**overrides: Any) -> Storage:
    """A bucket that is reached with stored secrets."""
    described = {"bucket": "archives", "endpoint": "https://s3.example.org", "access_key_id": "AKIA"}
    storage = make_storage(**{"name": "Cloud", "kind": "s3", "settings": described} | overrides)
    storage.secrets = {"secret_access_key": SECRET, "session_token": "short-lived"}
    storage.save()
    return storage
