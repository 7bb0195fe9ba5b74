"""What obstore cannot ask of S3 and Google: uploads in parts that nobody finished, and locks on objects."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from dbadmin.exceptions import StorageError
from dbadmin.storages.reasons import StorageDenied, explained
from dbadmin.text import Text

TIMEOUT_SECONDS = 60
NOT_KNOWN = (405, 501)
_MOST_PAGES = 1000


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """An upload that has begun; ``key`` is the whole one, with the storage's prefix."""

    key: str
    upload: str
    begun: datetime


@dataclass(frozen=True, kw_only=True)
class Uploads:
    """The unfinished uploads and locks of one bucket. ``address`` is the bucket's, without a slash at the end.

    Requests are signed with the keys, as S3 wants it, or carry the token that ``bearer`` returns, as Google does.
    """

    address: str
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    bearer: Callable[[], str] | None = field(default=None, repr=False)
    session_token: str = field(default="", repr=False)
    ca_certificate: str = ""

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield those whose key begins with ``prefix``; ``StorageDenied`` when the server will not tell."""
        markers: dict[str, str] = {}
        for _page in range(_MOST_PAGES):
            answer = self._ask("GET", "", {"uploads": "", "prefix": prefix, **markers})
            for found in re.findall(r"<Upload>(.*?)</Upload>", answer, re.DOTALL):
                begun = datetime.fromisoformat(_element(found, "Initiated").replace("Z", "+00:00"))
                yield Unfinished(key=_element(found, "Key"), upload=_element(found, "UploadId"), begun=begun)
            if _element(answer, "IsTruncated") != "true":
                return
            following = {"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"}
            markers = {name: _element(answer, element) for name, element in following.items()}

    def abort(self, found: Unfinished) -> None:
        """Remove an unfinished upload and its parts; one that is gone is no error."""
        self._ask("DELETE", found.key, {"uploadId": found.upload})

    def lock(self, key: str, *, until: datetime, mode: str) -> None:
        """Let nobody delete or shorten this version of an object before a time; needs a bucket with object lock."""
        body = (
            '<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Mode>{mode}</Mode><RetainUntilDate>{until:%Y-%m-%dT%H:%M:%SZ}</RetainUntilDate></Retention>"
        )
        self._ask("PUT", key, {"retention": ""}, body=body.encode())

    def _ask(self, method: str, key: str, query: Mapping[str, str], *, body: bytes = b"") -> str:
        url = f"{self.address}/{quote(key)}" if key else self.address
        url += "?" + "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))
        headers = {"authorization": f"Bearer {self.bearer()}"} if self.bearer else self._signed(method, url, body)
        request = urllib.request.Request(url, body or None, headers, method=method)  # noqa: S310
        context = ssl.create_default_context(cafile=self.ca_certificate or None)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310
                return str(answer.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            said = f"{error.code} {error.reason}: {error.read(4000).decode(errors='replace')}"
            if "NoSuchUpload" in said:
                return ""
            if error.code in NOT_KNOWN:
                raise StorageDenied(Text("The storage does not know that request.")) from error
            raise self._explained(said, key) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._explained(repr(error), key) from error

    def _explained(self, said: str, key: str) -> StorageError:
        return explained(said, key=key, secrets=(self.secret_access_key, self.session_token))

    def _signed(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """Return the headers of an AWS signature of version 4."""
        parts, now = urlsplit(url), datetime.now(UTC)
        content = hashlib.sha256(body).hexdigest()
        headers = {"host": parts.netloc, "x-amz-content-sha256": content, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
        if body:
            headers["content-type"] = "application/xml"
            # Requests about locks are not taken without it.
            headers["content-md5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        if self.session_token:
            headers["x-amz-security-token"] = self.session_token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        request = f"{method}\n{parts.path or '/'}\n{parts.query}\n{lines}\n{names}\n{content}"
        scope = f"{now:%Y%m%d}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.secret_access_key}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"{self.access_key_id}/{scope}"
        signature = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
        return {**headers, "authorization": signature}


def _element(xml: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", xml, re.DOTALL)
    return html.unescape(found[1]) if found else ""
