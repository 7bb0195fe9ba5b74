"""The hash that is reckoned beside is the hash."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from dbadmin.digest import AHEAD, Digest


@given(st.lists(st.binary(max_size=300), max_size=3 * AHEAD))
def test_it_is_the_hash_of_all_chunks_in_their_order(chunks: list[bytes]) -> None:
    digest = Digest()
    for chunk in chunks:
        digest.update(chunk)
    assert digest.hexdigest() == hashlib.sha256(b"".join(chunks)).hexdigest()


def test_it_can_be_asked_and_fed_further() -> None:
    digest = Digest()
    digest.update(b"first")
    assert digest.hexdigest() == hashlib.sha256(b"first").hexdigest()
    digest.update(b", second")
    assert digest.hexdigest() == hashlib.sha256(b"first, second").hexdigest()
