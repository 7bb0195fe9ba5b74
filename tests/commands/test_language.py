"""What commands print is in the language of the installation; what --json gives is in none."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import translation

from tests.commands.test_rotate_secret_key import key_file as key_file
from tests.factories import make_backup, make_schedule, make_storage


def printed(*arguments: str) -> str:
    out = io.StringIO()
    with contextlib.suppress(SystemExit):
        call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("backup stats", ["バックアップ: 1 件", "成功率: 30 日間"]),
        ("backup stats --dr", ["3-2-1 未達成", "コピー:", "目標"]),
        ("backup list", ["行数:"]),
        ("backup expire --dry-run", ["削除対象のコピー: 0 件"]),
        ("storages list", ["アーカイブ:", "既定"]),
        ("schedules list", ["次回"]),
    ],
)
def test_commands_speak_japanese(db: None, arguments: str, said: list[str]) -> None:
    make_backup(storage=make_storage(is_default=True))
    make_schedule()
    with translation.override("ja"):
        shown = printed(*arguments.split())
    assert [phrase for phrase in said if phrase not in shown] == [], shown


def test_a_change_of_the_key_speaks_japanese(db: None, key_file: Path) -> None:
    with translation.override("ja"):
        assert "リカバリーキットを作り直してください" in printed("rotate_secret_key")
