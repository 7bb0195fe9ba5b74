"""The hash that is reckoned beside is the hash."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from dbadmin.digest import AHEAD, LARGE, Digest


@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=4 * AHEAD))
def test_it_is_the_hash_of_all_chunks_in_their_order(pieces: list[tuple[bytes, bool]]) -> None:
    """Small ones are hashed at once, large ones beside: in any mixture they keep their turn."""
    chunks = [piece.ljust(LARGE) if is_large else piece for piece, is_large in pieces]
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
