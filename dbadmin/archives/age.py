"""Keys of age: pairs, public halves, and what a key file holds. Keys are plain strings everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyrage
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key
from pyrage import ssh, x25519

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

KEY_FILE_BYTES = 64 * 1024
NATIVE = "AGE-SECRET-KEY-1"
OPENSSH = re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----.+?-----END OPENSSH PRIVATE KEY-----", re.DOTALL)


def new_identity() -> tuple[str, str]:
    """Make a key pair; return the private key (AGE-SECRET-KEY-1…) and the public one (age1…)."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def recipient_of(identity: str) -> str:
    """Return the public half of a private key. ``ValidationFailed`` for what is none."""
    if identity.startswith(NATIVE):
        return str(native_identity(identity).to_public())
    try:
        public = load_ssh_private_key(identity.encode(), password=None).public_key()
        return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_identity() from error


def checked_recipient(text: str) -> str:
    """Return a public key (age1… or ssh-ed25519/ssh-rsa …) without its comment; ``ValidationFailed`` for others."""
    words = text.split()
    native = len(words) == 1 and words[0].startswith("age1")
    recipient = words[0] if native else " ".join(words[:2])
    to_recipient(recipient)
    return recipient


def read_key_file(content: bytes) -> tuple[str, ...]:
    """Return all private keys of a key file, at least one, each once.

    It is what ``age-keygen`` writes (lines of AGE-SECRET-KEY-1…, comments with #), OpenSSH private keys without a
    passphrase, or both one after the other. ``ValidationFailed`` for anything else; the message never repeats what
    the file holds.
    """
    if len(content) > KEY_FILE_BYTES:
        raise _no_key_file(Text("It is larger than 64 KB."))
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _no_key_file(Text("It is not text.")) from error
    if text.startswith(("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE-----")):
        raise _no_key_file(Text("It is protected by a passphrase: decrypt it with “age -d” first."))
    openssh = (match + "\n" for match in OPENSSH.findall(text))
    found = tuple(dict.fromkeys((*openssh, *_native_lines(text))))
    if not found:
        raise _no_key_file(Text("There is no line that begins with AGE-SECRET-KEY-1."))
    for identity in found:
        to_identity(identity)
    return found


def to_identity(identity: str) -> x25519.Identity | ssh.Identity:
    """Return what decrypts. ``ValidationFailed`` for what is no private key."""
    if identity.startswith(NATIVE):
        return native_identity(identity)
    recipient_of(identity)  # says why in words, where pyrage would not
    try:
        return ssh.Identity.from_buffer(identity.encode())
    except pyrage.IdentityError as error:
        raise _no_identity() from error


def native_identity(identity: str) -> x25519.Identity:
    """Return an X25519 identity. ``ValidationFailed`` for what is none."""
    try:
        return x25519.Identity.from_str(identity.strip())
    except pyrage.IdentityError as error:
        raise _no_identity() from error


def to_recipient(recipient: str) -> x25519.Recipient | ssh.Recipient:
    """Return what encrypts. ``ValidationFailed`` for what is no public key."""
    if recipient.startswith(NATIVE):
        raise ValidationFailed(
            Text("This is a private key, not a public one."), Text("Import it as a private key instead.")
        )
    try:
        if recipient.startswith("age1"):
            return x25519.Recipient.from_str(recipient)
        return ssh.Recipient.from_str(recipient)
    except pyrage.RecipientError as error:
        raise ValidationFailed(
            Text("This is no public key of age."),
            Text("It begins with age1, or is a line of ssh-ed25519 or ssh-rsa; check that it is complete."),
        ) from error


def short(recipient: str) -> str:
    """Return enough of a public key to tell it from others."""
    return recipient if len(recipient) <= 24 else f"{recipient[:12]}…{recipient[-8:]}"


def shorts(recipients: Iterable[str]) -> str:
    """Return several, for a sentence."""
    return ", ".join(short(recipient) for recipient in recipients) or "–"


def _native_lines(text: str) -> Iterable[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line.startswith(NATIVE)]


def _no_identity() -> ValidationFailed:
    return ValidationFailed(
        Text("This is no private key that can be used."),
        Text("It has to be AGE-SECRET-KEY-1…, or an OpenSSH key (ed25519, rsa) without a passphrase."),
    )


def _no_key_file(reason: Text) -> ValidationFailed:
    return ValidationFailed(
        Text("The key file cannot be used. {reason}", reason=reason),
        Text("Choose the file that was downloaded when the key was made, or that age-keygen has written."),
    )
