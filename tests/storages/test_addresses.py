"""Storages named by an address."""

from __future__ import annotations

import pytest

from dbadmin.exceptions import ValidationFailed
from dbadmin.storages.addresses import from_uri, read_uri
from tests.storages.places import Place
from tests.storages.servers import BUCKET, S3Server

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "sesame", "AWS_REGION": "eu-west-1"}


def test_a_folder() -> None:
    for uri in ("file:///srv/my%20backups", "/srv/my backups", "file://localhost/srv/my backups"):
        assert read_uri(uri).settings == {"path": "/srv/my backups"}


def test_a_bucket_with_keys_of_the_environment() -> None:
    found = read_uri("s3://archives/a/b?endpoint=https://minio:9000&path_style=false", environment=KEYS)
    assert found.settings == {
        "bucket": "archives",
        "prefix": "a/b",
        "endpoint": "https://minio:9000",
        "path_style": False,
        "region": "eu-west-1",
        "access_key_id": "AKID",
    }
    assert found.secrets == {"secret_access_key": "sesame"}
    assert "sesame" not in repr(found)


def test_what_the_address_says_comes_before_the_environment() -> None:
    assert read_uri("s3://archives?region=eu-north-1", environment=KEYS).settings["region"] == "eu-north-1"


def test_the_other_kinds() -> None:
    assert read_uri("gs://b/x").settings == {"bucket": "b", "prefix": "x"}
    assert read_uri("azure://acc/con/x/y", environment={}).settings["prefix"] == "x/y"
    assert read_uri("rclone://drive:/backups").settings == {"remote": "drive:", "path": "backups"}
    sftp = read_uri("rclone://sftp//srv/backups?host=h&host_keys=ssh-ed25519%20AAAA")
    assert sftp.settings["path"] == "/srv/backups"
    assert sftp.settings["options"] == "host = h\nhost_keys = ssh-ed25519 AAAA"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "backups",
        "ftp://host/x",
        "s3://",
        "s3://key:secret@bucket/x",
        "s3://bucket?secret_access_key=sesame",
        "s3://bucket?no_such_setting=1",
        "s3://bucket/a/../b",
        "s3://bucket?endpoint=http://far.example.com",
        "file://other/x",
        "rclone://sftp/x?host=h",
        "rclone://sftp/x?host=h&known_hosts_file=/h&ssh=touch%20/tmp/x",
        "rclone://alias/x?remote=/",
    ],
)
def test_what_is_no_address_or_not_safe_is_refused(uri: str) -> None:
    with pytest.raises(ValidationFailed) as error:
        from_uri(uri, {})
    assert "sesame" not in str(error.value)


def test_an_address_reads_what_the_storage_wrote(s3_server: S3Server) -> None:
    endpoint = f"endpoint=http://127.0.0.1:{s3_server.port}&access_key_id=AKIDEXAMPLE"
    place = from_uri(f"s3://{BUCKET}/u?{endpoint}", s3_server.secrets)
    place.write("x/manifest.json", [b"{}"])
    assert [found.key for found in place.list()] == ["x/manifest.json"]
    place.discard("x")


def test_every_place_has_settings_that_pass(place: Place) -> None:
    assert place.storage().stat("nothing") is None
