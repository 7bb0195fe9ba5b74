"""Secrets at rest: encrypted with the key from the environment or the home folder."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text


def encrypt(secret: str) -> str:
    """Return the token to store; an empty secret stays empty."""
    return Fernet(settings.ENCRYPTION_KEY).encrypt(secret.encode()).decode() if secret else ""


def decrypt(token: str) -> str:
    """Return the secret of a stored token. ``ValidationFailed`` when the key is not the one it was stored with."""
    if not token:
        return ""
    try:
        return Fernet(settings.ENCRYPTION_KEY).decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise ValidationFailed(
            Text("The stored password cannot be decrypted: the encryption key is not the one it was stored with."),
            Text(
                "Put the former key back (DBADMIN_ENCRYPTION_KEY or encryption_key in the home folder), "
                "or enter the password again."
            ),
        ) from error
