"""The key of a service account of Google: it signs its own tokens, so nobody has to be asked for one."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

if TYPE_CHECKING:
    from obstore.store import GCSCredential

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# Google takes none that is valid for longer.
VALID = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """An account by its key. Other things that the file says, such as where to send requests, are not heeded."""

    email: str
    key_id: str
    key: rsa.RSAPrivateKey = field(repr=False)

    def credential(self) -> GCSCredential:
        """Return a new token, valid for an hour."""
        now = datetime.now(UTC)
        claims = {"iss": self.email, "sub": self.email, "scope": SCOPE}
        times = {"iat": int(now.timestamp()), "exp": int((now + VALID).timestamp())}
        signed = f"{_encoded({'alg': 'RS256', 'typ': 'JWT', 'kid': self.key_id})}.{_encoded(claims | times)}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {"token": f"{signed}.{_base64(signature)}", "expires_at": now + VALID}


def read_service_account(written: str) -> ServiceAccount:
    """Return the account of the JSON file that Google gives; ``ValidationFailed`` shows nothing of it."""
    try:
        said = json.loads(written)
        key = serialization.load_pem_private_key(said["private_key"].encode(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError
        return ServiceAccount(email=str(said["client_email"]), key_id=str(said["private_key_id"]), key=key)
    except (ValueError, KeyError, TypeError, AttributeError, UnsupportedAlgorithm):
        raise ValidationFailed(
            Text("This is no key of a service account: enter the whole JSON file that Google gave for it.")
        ) from None


def _encoded(said: dict[str, Any]) -> str:
    return _base64(json.dumps(said, separators=(",", ":")).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
