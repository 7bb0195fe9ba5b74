"""What servers say becomes a sentence with a cause, whatever things are called and without secrets."""

from __future__ import annotations

import pytest

from dbadmin.exceptions import StorageUnreachable
from dbadmin.storages.reasons import StorageDenied, explained

REFUSED = """Generic S3 error: Error performing GET http://127.0.0.1:1/certificate?list-type=2 in 503µs - HTTP error
Debug source: RetryErrorImpl { retry_timeout: 5s, inner: ConnectError("tcp connect error", 127.0.0.1:1,
Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }) }"""
AZURE = "403 Forbidden: <Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>{}"
SKEWED = "403 Forbidden: <Error><Code>RequestTimeTooSkewed</Code><Message>Too large.</Message></Error>"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (SKEWED, "clocks"),
        (AZURE.format("Request date header too old: 'Sat, 21 Nov 2026 10:00:00 GMT'"), "clocks"),
        (AZURE.format("Signature not valid in the specified time frame: Start [] - Expiry []"), "token has expired"),
        (AZURE.format("The MAC signature found in the request for /account/x is not the same"), "secret key is wrong"),
        ("401 Unauthorized: <Code>AuthenticationRequired</Code>", "service account's key"),
        ("403 Forbidden: <Code>RetentionPolicyNotMet</Code><Message>subject to bucket's retention policy", "is locked"),
        ("409 Conflict: <Code>BlobImmutableDueToPolicy</Code>", "is locked"),
        ("400 Bad Request: <Message>Object is WORM protected and cannot be overwritten</Message>", "is locked"),
        (
            "403 Forbidden: <Code>AccessDenied</Code><Message>Access Denied because object protected by object lock.",
            "is locked",
        ),
        ("403 Forbidden: <Error><Code>AccessDenied</Code></Error>", "refused"),
        ("301 Moved Permanently: <Code>PermanentRedirect</Code>", "another region"),
        ("invalid peer certificate: UnknownIssuer", "not trusted"),
        ("503 Service Unavailable: <Code>SlowDown</Code>", "busy"),
        ("507 Insufficient Storage", "full"),
        ("sftp: handshake failed: knownhosts: key mismatch", "host key"),
        ("Error performing PUT http://169.254.169.254/latest/api/token", "No key is set"),
    ],
)
def test_known_causes_are_named_with_a_hint(said: str, sentence: str) -> None:
    error = explained(said, key="a/b")
    assert sentence in str(error.message)
    assert error.hint
    assert "a/b" in str(error.message)


def test_names_do_not_lead_to_a_wrong_cause() -> None:
    for key in ("certificate/x", "forbidden/AccessDenied", "timeout/NoSuchBucket"):
        assert "Nothing answers" in str(explained(f"{REFUSED} {key}", key=key))


def test_what_may_pass_is_told_from_what_does_not() -> None:
    assert isinstance(explained(REFUSED, key=""), StorageUnreachable)
    assert isinstance(explained("AccessDenied", key=""), StorageDenied)
    assert not isinstance(explained(SKEWED, key=""), StorageUnreachable)


def test_unknown_words_are_passed_on_without_secrets_and_not_at_length() -> None:
    error = explained(f"Odd: sig=c2VjcmV0 failed {'x' * 5000}\n\nDebug source: y", key="k", secrets=("c2VjcmV0", ""))
    assert "Odd: sig=******** failed" in str(error)
    assert "Debug" not in str(error)
    assert len(str(error)) < 500
