"""What servers and programs say when a storage fails, as sentences an administrator can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dbadmin.exceptions import StorageError, StorageUnreachable
from dbadmin.process import MASK
from dbadmin.text import Text, verbatim


class StorageDenied(StorageError):
    """The storage knows who asks and does not allow it."""


_RULES = Text("It has to be allowed to list, read, write and delete below the storage's folder.")
_AGAIN = Text("Nothing is wrong with the settings; it is worth trying again.")
_LONGEST = 300

# Tried in order on everything that was said: the pattern, the sentence, the hint, and what kind of error it is.
_REASONS: tuple[tuple[str, Text, Text, type[StorageError]], ...] = (
    (
        r"RequestTimeTooSkewed|TimeTooSkewed|RequestExpired|date header too old",
        Text("The clocks of this machine and of the storage differ too much."),
        Text("Set this machine's clock, for example with “timedatectl set-ntp true”."),
        StorageError,
    ),
    (
        r"ExpiredToken|InvalidToken|TokenRefreshRequired|invalid_grant|token expired|not valid in the specified time",
        Text("The token has expired or is wrong."),
        Text("Make a new one and enter it in the storage's settings."),
        StorageError,
    ),
    (
        r"AuthenticationRequired",
        Text("Google does not take the service account's key."),
        Text("Make sure that the key was not deleted, and enter its whole JSON file again."),
        StorageError,
    ),
    (
        r"InvalidAccessKeyId|InvalidClientTokenId",
        Text("The storage does not know the access key."),
        Text("Check the access key, and that it is one of this endpoint."),
        StorageError,
    ),
    (
        r"SignatureDoesNotMatch|AuthenticationFailed|failed to authenticate the request|InvalidAuthenticationInfo"
        r"|Invalid Access Key",
        Text("The secret key is wrong."),
        Text("Enter the secret key again, without spaces around it."),
        StorageError,
    ),
    (
        r"169\.254\.169\.254|metadata\.google|no credentials|NoCredentials|MissingAccountKey",
        Text("No key is set, and this machine has no role that gives one."),
        Text("Enter the keys in the storage's settings."),
        StorageError,
    ),
    (
        r"NoSuchBucket|ContainerNotFound|bucket does not exist|notFound.*bucket",
        Text("The storage has no such bucket."),
        Text("Check the bucket's name and the region, or make the bucket. dbadmin does not make buckets."),
        StorageError,
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|301 Moved|IllegalLocationConstraint|region .* is wrong",
        Text("The bucket is in another region."),
        Text("Set the bucket's own region, and leave the endpoint empty or take the one of that region."),
        StorageError,
    ),
    (
        r"host key mismatch|key mismatch|knownhosts:|host key",
        Text("The server's host key is not the expected one."),
        Text("Make sure that it is the right server, then correct host_keys or the known_hosts file."),
        StorageError,
    ),
    (
        r"unable to authenticate|\b530 |Login incorrect|LOGON_FAILURE|logon is invalid|401 Unauthorized",
        Text("The storage refused the user's name, password or key."),
        Text("Check user, password and key. Passwords and keys belong into the secret options."),
        StorageError,
    ),
    (
        r"no space left|Insufficient ?Storage|QuotaExceeded|disk quota|storageQuota|DISK_FULL|XMinioStorageFull",
        Text("The storage is full."),
        Text("Free some space there, or choose another storage."),
        StorageError,
    ),
    (
        r"certificate|UnknownIssuer|x509|InvalidContentType|corrupt message|tls:|\[SSL",
        Text("The connection could not be secured: the server's certificate is not trusted, or it does not speak TLS."),
        Text("Check https and the port. For an authority of your own name its PEM file in the settings."),
        StorageError,
    ),
    (
        r"object lock|ObjectLocked|WORM.protected|RetentionPolicyNotMet|UnderActiveHold|BlobImmutable|retention policy",
        Text("It is locked in the storage and cannot be deleted before the lock ends."),
        Text("It is tried again by itself. How long archives are locked is set in the storage, or at the bucket."),
        StorageDenied,
    ),
    (
        r"AccessDenied|AccessForbidden|AuthorizationPermissionMismatch|AuthorizationFailure|permission ?denied"
        r"|403 Forbidden|Access Denied|ACCESS_DENIED|PermissionDenied|forbidden",
        Text("The storage refused: the key or user may not do that."),
        _RULES,
        StorageDenied,
    ),
    (
        r"dns error|no such host|lookup address|Name or service not known|nodename nor servname|no addresses",
        Text("There is no such host."),
        Text("Check the name of the server, and this machine's name service."),
        StorageUnreachable,
    ),
    (
        r"Connection ?refused|actively refused",
        Text("Nothing answers at that address and port."),
        Text("Check address and port, that the server runs, and the firewall."),
        StorageUnreachable,
    ),
    (
        r"EntityTooLarge|TooManyParts|InvalidPartNumber|part number must be",
        Text("The object became larger than the storage takes in so many parts."),
        Text("Back up fewer tables at once, or choose another storage."),
        StorageError,
    ),
    (
        r"timed ?out|kind: Timeout|i/o timeout|deadline exceeded|unreachable|no route",
        Text("The storage did not answer in time."),
        _AGAIN,
        StorageUnreachable,
    ),
    (
        r"SlowDown|ServiceUnavailable|InternalError|Server Error|\b50[0234] [A-Z]|TooManyRequests|RequestTimeout"
        r"|rate.?limit",
        Text("The storage is busy or out of order."),
        _AGAIN,
        StorageUnreachable,
    ),
    (
        r"connection (was )?(reset|closed|lost|aborted)|broken pipe|unexpected EOF|IncompleteMessage|IncompleteBody"
        r"|ConnectionReset|ConnectionAborted|UnexpectedEof|error decoding|request or response body|Connection error"
        r"|error sending request|use of closed|\bEOF\b|kind: Body|kind: Decode|end of file|connection failed",
        Text("The connection to the storage dropped."),
        _AGAIN,
        StorageUnreachable,
    ),
)


def explained(said: str, *, key: str, secrets: Iterable[str] = ()) -> StorageError:
    """Return the error to raise for what a server or program said about ``key``; no secret gets into it."""
    words = _without_names(said, key)
    for pattern, message, hint, kind in _REASONS:
        if re.search(pattern, words, re.IGNORECASE | re.DOTALL):
            return kind(_about(key, message), hint)
    return StorageError(
        _about(key, verbatim(shortened(masked(said, secrets)))),
        Text("That is what the storage said itself. Test the storage on its page."),
    )


def missing(key: str) -> StorageError:
    """Return the error for an object that is not there."""
    return StorageError(
        Text("The storage has no “{key}”.", key=key), Text("It may have been moved or deleted outside dbadmin.")
    )


def taken(key: str) -> StorageError:
    """Return the error for an object that is already there."""
    return StorageError(Text("The storage already has “{key}”; it is not replaced.", key=key))


def masked(said: str, secrets: Iterable[str]) -> str:
    """Return the words without any secret in them."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        said = said.replace(secret, MASK)
    return said


def shortened(said: str) -> str:
    """Return the first lines of what was said, without what programmers added for themselves."""
    words = " ".join(said.split("\n\nDebug source")[0].split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


def _without_names(said: str, key: str) -> str:
    """Leave out names that people chose: one of them may be “certificate” or “timeout”."""
    said = re.sub(r"(\w+://[^/\s\"]*)[^\s\"]*", r"\1", said)
    said = re.sub(r"\"dbadmin:[^\"]*\"", "", said)
    for name in sorted({key, *key.split("/")}, key=len, reverse=True):
        said = said.replace(name, "") if len(name) > 3 else said
    return said


def _about(key: str, message: Text) -> Text:
    return Text("“{key}”: {reason}", key=key, reason=message) if key else message
