"""What age makes of streams: everything that can be wrong with a key or a ciphertext is a sentence."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbadmin.archives.age import checked_recipient, new_identity, read_key_file, recipient_of
from dbadmin.archives.encryption import EncryptedStorage, decrypt, encrypt, offered, sealed_size
from dbadmin.exceptions import CorruptArchive, KeyMissing, StorageError, ValidationFailed
from dbadmin.progress import Silent
from dbadmin.storages.base import CHUNK
from dbadmin.storages.local import LocalStorage

IDENTITY, RECIPIENT = new_identity()
OTHER_IDENTITY, OTHER_RECIPIENT = new_identity()
CONTENT = os.urandom(3 * CHUNK + 12345)


def pieces(content: bytes, size: int = 100_001) -> Iterator[bytes]:
    yield b""
    for start in range(0, len(content), size):
        yield content[start : start + size]
        yield b""


def sealed(content: bytes = CONTENT) -> bytes:
    return b"".join(encrypt(pieces(content), [RECIPIENT]))


def opened(ciphertext: bytes, *identities: str) -> bytes:
    return b"".join(decrypt(pieces(ciphertext), identities or [IDENTITY]))


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    descriptors = len(os.listdir("/proc/self/fd"))
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "age"]
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, CHUNK, len(CONTENT)])
def test_what_was_sealed_comes_back(size: int) -> None:
    ciphertext = sealed(CONTENT[:size])
    assert CONTENT[:1000] not in ciphertext or size == 0
    assert opened(ciphertext) == CONTENT[:size]
    assert size < len(ciphertext) <= sealed_size(size)


def test_any_of_several_keys_opens_it() -> None:
    ciphertext = b"".join(encrypt([b"both"], [RECIPIENT, OTHER_RECIPIENT]))
    assert opened(ciphertext, IDENTITY) == opened(ciphertext, OTHER_IDENTITY) == b"both"
    assert opened(ciphertext, new_identity()[0], OTHER_IDENTITY) == b"both"


def test_chunks_are_never_larger_than_a_storage_promises() -> None:
    assert max(map(len, decrypt(encrypt([CONTENT], [RECIPIENT]), [IDENTITY]))) <= CHUNK
    assert max(map(len, encrypt([CONTENT], [RECIPIENT]))) <= CHUNK


def test_the_program_age_reads_ours_and_we_read_its(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(IDENTITY)
    (tmp_path / "ours.age").write_bytes(sealed())
    said = subprocess.run(["age", "-d", "-i", tmp_path / "key", tmp_path / "ours.age"], check=True, capture_output=True)
    assert said.stdout == CONTENT
    theirs = subprocess.run(["age", "-r", RECIPIENT], input=CONTENT, check=True, capture_output=True).stdout
    assert opened(theirs) == CONTENT


def test_a_wrong_key_is_named_before_the_first_byte() -> None:
    with pytest.raises(KeyMissing) as failure:
        next(decrypt(pieces(sealed()), [OTHER_IDENTITY]))
    assert OTHER_RECIPIENT[:12] in str(failure.value)
    assert "AGE-SECRET" not in repr(failure.value) + str(failure.value)


def test_no_key_at_all_is_a_sentence_of_its_own() -> None:
    with pytest.raises(KeyMissing, match="no private key here"):
        list(decrypt(pieces(sealed()), []))


@pytest.mark.parametrize("place", [5, 60, 150, 230, 1000, 70_000, -1])
def test_one_flipped_bit_is_noticed(place: int) -> None:
    ciphertext = bytearray(sealed())
    ciphertext[place] ^= 1
    with pytest.raises((CorruptArchive, KeyMissing)):
        opened(bytes(ciphertext))


@pytest.mark.parametrize("keep", [0, 1, 30, 150, 216, 5000, 200 + 65_552, -1, -65_552])
def test_what_ends_early_is_noticed(keep: int) -> None:
    with pytest.raises(CorruptArchive):
        opened(sealed()[:keep])


def test_what_goes_on_too_long_is_noticed() -> None:
    with pytest.raises(CorruptArchive):
        opened(sealed() + b"x")


def test_an_error_of_the_source_passes_through_both_ways() -> None:
    def broken(content: bytes) -> Iterator[bytes]:
        yield content
        raise PermissionError(13, "mine")

    for stream in (encrypt(broken(CONTENT), [RECIPIENT]), decrypt(broken(sealed()[:500_000]), [IDENTITY])):
        with pytest.raises(PermissionError, match="mine"):
            list(stream)


def test_a_consumer_that_stops_early_ends_everything() -> None:
    ended: list[str] = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield CONTENT
        finally:
            ended.append(threading.current_thread().name)

    stream = encrypt(endless(), [RECIPIENT])
    for _ in range(20):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert ended == [threading.current_thread().name]


def test_the_source_is_drawn_in_the_callers_thread() -> None:
    threads: set[int] = set()

    def watched() -> Iterator[bytes]:
        for chunk in pieces(CONTENT):
            threads.add(threading.get_ident())
            yield chunk

    list(encrypt(watched(), [RECIPIENT]))
    assert threads == {threading.get_ident()}


def test_300_megabytes_take_no_memory() -> None:
    block = os.urandom(CHUNK)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plain, back = hashlib.sha256(), hashlib.sha256()

    def source() -> Iterator[bytes]:
        for _ in range(300):
            plain.update(block)
            yield block

    for chunk in decrypt(encrypt(source(), [RECIPIENT]), [IDENTITY]):
        back.update(chunk)
    assert plain.digest() == back.digest()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # kilobytes


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_ssh_keys_serve_too(kind: str, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / "key"], check=True)
    (identity,) = read_key_file((tmp_path / "key").read_bytes())
    recipient = checked_recipient((tmp_path / "key.pub").read_text())
    assert recipient_of(identity) == recipient
    assert b"".join(decrypt(encrypt([b"words"], [recipient]), [OTHER_IDENTITY, identity])) == b"words"


def test_all_keys_of_a_file_are_tried(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    openssh = (tmp_path / "key").read_text()
    public = checked_recipient((tmp_path / "key.pub").read_text())
    for text in (f"# both\n{IDENTITY}\n{openssh}", f"{openssh}{IDENTITY}\n{IDENTITY}\n"):
        found = read_key_file(text.encode())
        assert sorted(found) == sorted((IDENTITY, openssh))
        for recipient in (RECIPIENT, public):
            assert b"".join(decrypt(encrypt([b"words"], [recipient]), found)) == b"words"


def test_a_key_with_a_passphrase_is_refused_in_words(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "key"], check=True)
    with pytest.raises(ValidationFailed, match="without a passphrase"):
        read_key_file((tmp_path / "key").read_bytes())


def test_what_age_keygen_writes_is_a_key_file(tmp_path: Path) -> None:
    subprocess.run(["age-keygen", "-o", tmp_path / "key"], check=True, capture_output=True)
    content = (tmp_path / "key").read_text()
    (identity,) = read_key_file(content.encode())
    assert f"# public key: {recipient_of(identity)}" in content
    assert read_key_file((content + "\n" + IDENTITY.lower().upper() + "\r\n").encode()) == (identity, IDENTITY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"\xff\xfe\x00",
        pytest.param(RECIPIENT.encode(), id="recipient"),
        b"AGE-SECRET-KEY-1JUNK",
        b"x" * 100000,
        b"-----BEGIN OPENSSH PRIVATE KEY-----\njunk\n-----END OPENSSH PRIVATE KEY-----\n",
        b"age-encryption.org/v1\n",
    ],
)
def test_junk_is_no_key_file_and_is_not_repeated(content: bytes) -> None:
    with pytest.raises(ValidationFailed) as failure:
        read_key_file(content)
    assert "JUNK" not in str(failure.value).upper()


@pytest.mark.parametrize(
    "text", ["", "junk", "age1junk", pytest.param(IDENTITY, id="identity"), "ssh-ed25519 junk", "ssh-ed25519"]
)
def test_junk_is_no_public_key(text: str) -> None:
    with pytest.raises(ValidationFailed) as failure:
        checked_recipient(text)
    assert "AGE-SECRET" not in str(failure.value)


def test_a_public_key_loses_its_comment() -> None:
    assert checked_recipient(f"  {RECIPIENT}\n") == RECIPIENT


def storage(folder: Path, *identities: str, recipients: tuple[str, ...] = (RECIPIENT,)) -> EncryptedStorage:
    return EncryptedStorage(LocalStorage(folder), recipients=recipients, identities=lambda: identities)


def test_a_storage_seals_what_it_is_given_and_opens_it(tmp_path: Path) -> None:
    place = storage(tmp_path, IDENTITY)
    stored = place.write("a/b.tar", pieces(CONTENT), expected_size=len(CONTENT))
    ciphertext = (tmp_path / "a/b.tar.age").read_bytes()
    assert (stored.key, stored.size) == ("a/b.tar", len(ciphertext))
    assert stored.sha256 == hashlib.sha256(ciphertext).hexdigest()
    assert b"".join(place.open("a/b.tar")) == CONTENT
    assert b"".join(place.open("a/b.tar", offset=1_234_567)) == CONTENT[1_234_567:]
    assert b"".join(place.open_sealed("a/b.tar")) == ciphertext
    assert [each.key for each in place.list("a/")] == ["a/b.tar"]
    found = place.stat("a/b.tar")
    assert found is not None
    assert (found.key, found.size) == ("a/b.tar", stored.size)
    place.delete("a/b.tar")
    assert place.stat("a/b.tar") is None
    assert not list(tmp_path.iterdir())


def test_turning_encryption_on_and_off_leaves_everything_readable(tmp_path: Path) -> None:
    off, on = storage(tmp_path, IDENTITY, recipients=()), storage(tmp_path, IDENTITY)
    off.write("plain", [b"old"])
    on.write("sealed", [b"new"])
    for place in (off, on):
        assert [b"".join(place.open(key)) for key in ("plain", "sealed")] == [b"old", b"new"]
        assert [each.key for each in place.list()] == ["plain", "sealed"]
        with pytest.raises(StorageError, match="already has"):
            place.write("plain", [b"again"])
        with pytest.raises(StorageError, match="already has"):
            place.write("sealed", [b"again"])


def test_without_a_private_key_it_writes_and_verifies_and_says_that_it_cannot_read(tmp_path: Path) -> None:
    place = storage(tmp_path)
    stored = place.write("a", pieces(CONTENT))
    assert not place.can_open("a")
    place.check_sealed("a", stored.sha256, Silent())
    with pytest.raises(KeyMissing):
        next(place.open("a"))
    ciphertext = bytearray((tmp_path / "a.age").read_bytes())
    ciphertext[-1] ^= 1
    (tmp_path / "a.age").write_bytes(ciphertext)
    with pytest.raises(CorruptArchive):
        place.check_sealed("a", stored.sha256, Silent())


def test_a_key_that_is_offered_opens_what_is_asked_for_in_the_block(tmp_path: Path) -> None:
    storage(tmp_path).write("a", [b"words"])
    with offered([IDENTITY]):
        place = storage(tmp_path, OTHER_IDENTITY)
    assert place.can_open("a")
    assert b"".join(place.open("a")) == b"words"
    assert not storage(tmp_path, OTHER_IDENTITY).can_open("a")
    assert "AGE-SECRET" not in repr(place) + repr(vars(storage(tmp_path, OTHER_IDENTITY)))


def test_a_sealed_copy_is_brought_elsewhere_without_any_private_key(tmp_path: Path) -> None:
    here, there = storage(tmp_path / "here"), storage(tmp_path / "there", recipients=())
    first = here.write("a", pieces(CONTENT))
    second = there.write_sealed("a", here.open_sealed("a"))
    assert first.sha256 == second.sha256
    assert there.is_sealed("a")


def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield CONTENT
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage(tmp_path).write("a", broken())
    assert not list(tmp_path.iterdir())
