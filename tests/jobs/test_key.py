from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dbadmin import crypto
from dbadmin.exceptions import ValidationFailed
from dbadmin.management.secret_key import rotate
from dbadmin.models import KeyProof
from tests.factories import make_database
from tests.lost_key import lose_key

pytestmark = pytest.mark.django_db


def test_the_first_process_leaves_a_proof_that_is_not_the_key(settings: Any) -> None:
    KeyProof.require()
    KeyProof.require()
    token = KeyProof.objects.get().encrypted_word
    assert crypto.decrypt(token) == KeyProof.WORD
    assert settings.ENCRYPTION_KEY not in token


def test_a_worker_with_another_key_says_so_and_does_not_start(settings: Any, capsys: Any) -> None:
    KeyProof.require()
    lose_key(settings)
    with pytest.raises(SystemExit):
        call_command("worker")
    assert "is not the catalogue's" in capsys.readouterr().err


def test_without_a_proof_a_stored_password_has_to_open(settings: Any) -> None:
    database = make_database()
    database.password = "secret"
    database.save()
    lose_key(settings)
    with pytest.raises(ValidationFailed, match="opens none of the stored passwords"):
        KeyProof.require()
    assert not KeyProof.objects.exists()


def test_without_a_key_nothing_is_stored_until_one_is_made(settings: Any, tmp_path: Path) -> None:
    KeyProof.require()
    settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEY_FILE = "", tmp_path / "encryption_key"
    for refused in (KeyProof.require, lambda: crypto.encrypt("secret"), rotate):
        with pytest.raises(ValidationFailed, match="not its encryption key"):
            refused()
    assert not settings.ENCRYPTION_KEY_FILE.exists()
    KeyProof.accept()
    KeyProof.require()
    assert crypto.decrypt(crypto.encrypt("secret")) == "secret"


def test_a_lost_key_can_be_given_up(settings: Any) -> None:
    KeyProof.require()
    lose_key(settings)
    KeyProof.accept()
    KeyProof.require()
