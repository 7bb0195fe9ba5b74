"""What is special to buckets: whose keys are used, which requests are made, what abandoned uploads become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dbadmin.exceptions import StorageError, ValidationFailed
from dbadmin.storages import get_storage
from dbadmin.storages.objectstore import ObjectStorage
from dbadmin.storages.probe import probe_storage
from tests.storages.servers import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, boto

MEGABYTE = 1 << 20


def test_stored_keys_are_not_mixed_with_those_of_the_environment(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "SOMEBODY",
        "AWS_SECRET_ACCESS_KEY": "else",
        "AWS_SESSION_TOKEN": "old",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_REGION": "eu-north-1",
    }.items():
        monkeypatch.setenv(name, value)
    storage = get_storage("s3", s3_server.settings("env"), s3_server.secrets)
    storage.write("a/b", [b"x"])
    storage.discard("a")


def test_keys_of_the_environment_are_used_where_none_are_stored(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    storage = get_storage("s3", s3_server.settings("env") | {"access_key_id": ""})
    storage.write("a/b", [b"x"])
    storage.discard("a")
    assert isinstance(storage, ObjectStorage)
    assert storage.uploads is not None


def test_a_missing_bucket_is_never_an_empty_storage(moto_server: S3Server, s3_server: S3Server) -> None:
    for server in (moto_server, s3_server):
        storage = get_storage("s3", server.settings() | {"bucket": "vanished"}, server.secrets)
        with pytest.raises(StorageError, match="no such bucket"):
            storage.stat("a/b")
        with pytest.raises(StorageError, match="no such bucket"):
            list(storage.list())
        with pytest.raises(StorageError, match="no such bucket"):
            storage.write("a/b", [b"x"])


def test_storage_class_and_checksum_reach_the_server(moto_server: S3Server) -> None:
    settings = moto_server.settings("classes", storage_class="STANDARD_IA", checksum="sha256")
    storage = get_storage("s3", settings, moto_server.secrets)
    storage.write("small", [b"x"])
    storage.write("large", [bytes(MEGABYTE)] * 20)
    for name in ("small", "large"):
        head = boto(moto_server).head_object(Bucket=BUCKET, Key=f"classes/{name}", ChecksumMode="ENABLED")
        assert head["StorageClass"] == "STANDARD_IA"
    storage.discard("small")


def test_only_our_own_old_uploads_are_swept(moto_server: S3Server) -> None:
    client = boto(moto_server)
    ours = "slug/20260101T000000Z-full-0123abcd/backup.tar"
    for key in ("theirs/big.iso", ours):
        client.create_multipart_upload(Bucket=BUCKET, Key=key)
    storage = get_storage("s3", moto_server.settings(), moto_server.secrets)
    # Moto says that every upload was begun in 2010.
    assert storage.sweep(before=datetime(2000, 1, 1, tzinfo=UTC)) == 0
    assert storage.sweep(before=datetime.now(UTC) - timedelta(days=1)) == 1
    left = client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert [upload["Key"] for upload in left] == ["theirs/big.iso"]
    client.abort_multipart_upload(Bucket=BUCKET, Key="theirs/big.iso", UploadId=left[0]["UploadId"])


def test_a_small_object_is_refused_by_the_server_itself(moto_server: S3Server) -> None:
    """Even a writer that knows nothing of our marks cannot be replaced."""
    storage = get_storage("s3", moto_server.settings("cond"), moto_server.secrets)
    assert isinstance(storage, ObjectStorage)
    boto(moto_server).put_object(Bucket=BUCKET, Key="cond/a", Body=b"first")
    with pytest.raises(StorageError, match="already has"):
        storage._put("a", b"second")
    storage.delete("a")


def test_another_writer_that_died_blocks_a_name_for_an_hour_at_most(moto_server: S3Server) -> None:
    storage = get_storage("s3", moto_server.settings("dead"), moto_server.secrets)
    assert isinstance(storage, ObjectStorage)
    storage.mark("a/.partial-claim-3e23e8160039594a-0123456789abcdef", about="a/b")
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert list(storage.list()) == []
    assert storage.sweep(before=later) == 1
    storage.write("a/b", [b"x"])
    storage.discard("a")


def test_archives_are_locked_where_that_is_wanted(moto_server: S3Server) -> None:
    client = boto(moto_server)
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    settings = moto_server.settings("ä b", lock_days=30, checksum="sha256") | {"bucket": "locked"}
    storage = get_storage("s3", settings, moto_server.secrets)
    written = storage.write("a/ü.tar", [bytes(MEGABYTE)] * 20)
    found = client.head_object(Bucket="locked", Key="ä b/a/ü.tar")
    assert found["ObjectLockMode"] == "GOVERNANCE"
    kept = found["ObjectLockRetainUntilDate"] - written.modified
    assert timedelta(days=29, hours=23) < kept < timedelta(days=30, minutes=1)
    version = found["VersionId"]
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.delete_object(Bucket="locked", Key="ä b/a/ü.tar", VersionId=version)
    assert probe_storage(storage).failed is None


def test_what_cannot_be_locked_does_not_stay(moto_server: S3Server) -> None:
    """Its bucket has no object lock."""
    storage = get_storage("s3", moto_server.settings("unlocked", lock_days=30), moto_server.secrets)
    with pytest.raises(StorageError):
        storage.write("a/b", [b"x"])
    assert list(storage.list()) == []
    keyless = get_storage("s3", moto_server.settings("unlocked", lock_days=30, access_key_id=""))
    with pytest.raises(StorageError, match="cannot be locked"):
        keyless.write("a/b", [b"x"])


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "has to be given"),
        ({"bucket": "a", "endpoint": "http://far.example.com"}, "http would send archives in clear"),
        ({"bucket": "a", "endpoint": "https://key:secret@host"}, "no name and no password"),
        ({"bucket": "a", "prefix": "../b"}, "no folder"),
        ({"bucket": "a", "path_style": "yes"}, "either true or false"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationFailed, match=problem):
        get_storage("s3", settings)
    assert get_storage("s3", {"bucket": "a", "endpoint": "http://far.example.com", "allow_http": True})
