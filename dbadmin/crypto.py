"""Secrets at rest: encrypted with the key from the environment or the home folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text


def encrypt(secret: str) -> str:
    """Return the token to store; an empty secret stays empty. ``ValidationFailed`` when there is no key here."""
    if not secret:
        return ""
    require_key()
    return Fernet(keys()[0]).encrypt(secret.encode()).decode()


def decrypt(token: str) -> str:
    """Return the secret of a stored token. ``ValidationFailed`` when the key is not the one it was stored with."""
    if not token:
        return ""
    try:
        return _all().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise ValidationFailed(
            Text("The stored password cannot be decrypted: the encryption key is not the one it was stored with."),
            Text(
                "Put the former key back (DBADMIN_ENCRYPTION_KEY or encryption_key in the home folder), "
                "or enter the password again."
            ),
        ) from error


def opens(token: str) -> bool:
    """Whether a key that is here opens a stored token; there is nothing to open in an empty one."""
    try:
        decrypt(token)
    except ValidationFailed:
        return False
    return True


def keys() -> list[str]:
    """Return the keys: the first encrypts, all of them decrypt. More than one there are only while they change.

    None where a catalogue came without its key, or the key's file or variable has gone.
    A key file is read each time, so that a change reaches processes that are running.
    """
    try:
        text = Path(settings.ENCRYPTION_KEY_FILE).read_text() if settings.ENCRYPTION_KEY_FILE else ""
    except FileNotFoundError:
        text = ""
    return split_keys(text) or split_keys(settings.ENCRYPTION_KEY)


def require_key() -> None:
    """Raise ``ValidationFailed`` when there is no key here."""
    if not keys():
        raise ValidationFailed(
            Text("There is a catalogue here, but not its encryption key."),
            Text(
                "Set DBADMIN_ENCRYPTION_KEY, or put the file encryption_key back into the home folder. Where the key "
                "is lost: manage.py worker --accept-key makes a new one, then enter passwords again."
            ),
        )


def make_key() -> None:
    """Make the key of an installation that has none; one that is here stays."""
    path = settings.ENCRYPTION_KEY_FILE
    if path and not keys():
        keep_keys(Path(path), [new_key()])


def new_key() -> str:
    """Return one by chance."""
    return Fernet.generate_key().decode()


def split_keys(text: str) -> list[str]:
    """Return the keys of a file or variable, separated by spaces, lines or commas."""
    return text.replace(",", " ").split()


def keep_keys(path: Path, keys: Sequence[str]) -> None:
    """Make the key file hold exactly these; whatever happens meanwhile, it holds the former or the new ones."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(keys) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_left_overs(path: Path) -> None:
    """Remove what writers of the key file left beside it when they were killed: it holds keys in clear.

    The caller has seen to it that nobody writes the key file now.
    """
    for beside in path.parent.glob(f".{path.name}.*"):
        if beside.suffix.removeprefix(".").isdecimal():
            beside.unlink(missing_ok=True)


def is_current(token: str) -> bool:
    """Whether the token was made with the first key."""
    try:
        Fernet(keys()[0]).decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def renewed(token: str) -> str | None:
    """Return the same secret encrypted with the first key; None when no key opens the token."""
    try:
        return _all().rotate(token.encode()).decode()
    except InvalidToken:
        return None


def _all() -> MultiFernet:
    found = keys()
    if not found:
        raise InvalidToken
    return MultiFernet([Fernet(key) for key in found])
