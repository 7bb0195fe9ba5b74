"""The hash that is computed beside is the hash, however the bytes come, and leaves no thread behind."""

from __future__ import annotations

import gc
import hashlib
import random
import threading

import pytest

from dbadmin.hashing import SMALL, Sha256


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_hash_of_all_pieces_in_their_order(seed: int) -> None:
    chance = random.Random(seed)
    pieces = [chance.randbytes(chance.choice((0, 1, 512, SMALL - 1, SMALL, 1 << 20))) for _ in range(30)]
    digest = Sha256()
    for piece in pieces:
        digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_it_can_be_asked_on_the_way_and_goes_on() -> None:
    digest = Sha256()
    digest.update(b"a" * SMALL)
    assert digest.hexdigest() == hashlib.sha256(b"a" * SMALL).hexdigest()
    digest.update(b"b" * SMALL)
    assert digest.hexdigest() == hashlib.sha256(b"a" * SMALL + b"b" * SMALL).hexdigest()


def test_what_is_forgotten_half_way_keeps_no_thread() -> None:
    before = set(threading.enumerate())
    digest = Sha256()
    digest.update(b"a" * SMALL)
    (thread,) = set(threading.enumerate()) - before
    del digest
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()
