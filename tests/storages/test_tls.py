"""https with a certificate authority of one's own."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dbadmin.storages import get_storage
from dbadmin.storages.probe import probe_storage
from tests.storages.servers import S3Server, rclone_s3

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Our own authority")])


def signed(subject: x509.Name, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=key is by, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(by, hashes.SHA256())
    )


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The PEM file of an authority, with server.pem and server.key beside it."""
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    (tmp_path / "authority.pem").write_bytes(signed(NAME, authority, authority).public_bytes(pem))
    (tmp_path / "server.pem").write_bytes(signed(subject, server, authority).public_bytes(pem))
    traditional, none = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    (tmp_path / "server.key").write_bytes(server.private_bytes(pem, traditional, none))
    return tmp_path / "authority.pem"


@pytest.fixture
def https_server(authority: Path, tmp_path: Path) -> Iterator[S3Server]:
    certificate = (str(tmp_path / "server.pem"), str(tmp_path / "server.key"))
    with rclone_s3(tmp_path / "s3", *certificate) as server:
        yield server


def test_an_authority_of_ones_own_is_trusted_when_named_and_not_otherwise(
    https_server: S3Server, authority: Path
) -> None:
    settings = https_server.settings(endpoint=f"https://127.0.0.1:{https_server.port}")
    unknown = probe_storage(get_storage("s3", settings, https_server.secrets))
    assert unknown.failed is not None
    assert "could not be secured" in str(unknown.failed.message)
    known = get_storage("s3", settings | {"ca_certificate": str(authority)}, https_server.secrets)
    assert probe_storage(known).failed is None
    known.discard("nothing")


def test_a_missing_file_of_an_authority_is_a_sentence(s3_server: S3Server) -> None:
    settings = s3_server.settings(ca_certificate="/nowhere/ca.pem")
    probe = probe_storage(get_storage("s3", settings, s3_server.secrets))
    assert probe.failed is not None
    assert "/nowhere/ca.pem cannot be read" in str(probe.failed.message)
