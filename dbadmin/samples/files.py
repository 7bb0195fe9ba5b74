"""Make the JSON files of the COMET bot."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REQUIRED = ("config/members.json", "config/spam_blocker.json", "config/version.json")
OPTIONAL = ("message*.json", "roles*.json")

GUILD = 987654321
NAMES = ("佐藤 陽菜", "鈴木 蓮", "Emma Smith", "髙橋 結衣", "Oliver O'Brien", "田中 大翔", "Zoë Müller")
WRITTEN = datetime(2024, 1, 15, 12, 0, tzinfo=UTC).timestamp()


def create_files(folder: Path) -> bool:
    """Make the file set below ``folder`` and say whether it was made; a folder that is there stays as it is."""
    if folder.exists():
        return False
    temporary = folder.with_name(f".{folder.name}.loading")
    shutil.rmtree(temporary, ignore_errors=True)
    for name, content in _contents().items():
        path = temporary / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.utime(path, (WRITTEN, WRITTEN))
    (temporary / "config/spam_blocker.json").chmod(0o640)
    (temporary / "README.md").write_text("# COMET\n\nNot part of the file set.\n", encoding="utf-8")
    temporary.rename(folder)
    return True


def _contents() -> dict[str, Any]:
    return {
        "config/members.json": {f"{GUILD}_{123456789 + n}": _member(n) for n in range(250)},
        "config/spam_blocker.json": {
            "enabled": True,
            "max_messages_per_minute": 12,
            "blocked_words": ["free nitro", "無料ギフト"],
            "patterns": [r"https?://(?!example\.com)\S+\.ru/"],
            "exempt_roles": ["moderator"],
        },
        "config/version.json": {"version": "1.2.0", "applied": ["1.0.0", "1.1.0", "1.2.0"]},
        "message_analysis.json": [_analysis(n) for n in range(120)],
        "messages_ログ.json": {"channel": "雑談", "lines": [f"おはよう {n} ☄️" for n in range(30)]},
        "roles.json": {"member": {"colour": "#5c7cfa"}, "moderator": {"colour": "#f03e3e"}, "開発者": {"colour": None}},
        "roles_backup.json": {},
    }


def _member(number: int) -> dict[str, Any]:
    return {
        "user_id": str(123456789 + number),
        "guild_id": str(GUILD),
        "display_name": NAMES[number % len(NAMES)],
        "join_date": f"2024-01-{1 + number % 28:02}T00:00:00Z",
        "roles": ["member", "moderator"][: 1 + (number % 9 == 0)],
        "preferences": {"notifications": number % 3 > 0, "language": "en" if number % 7 in (2, 4, 6) else "ja"},
        "statistics": {
            "message_count": number * 37 % 900,
            "last_active": f"2024-01-{1 + number % 15:02}T{number % 24:02}:00:00Z",
        },
    }


def _analysis(number: int) -> dict[str, Any]:
    return {
        "message_id": str(1100000000 + number),
        "channel_id": "800000101",
        "author_id": str(123456789 + number % 250),
        "timestamp": f"2024-01-{1 + number % 28:02}T12:00:00Z",
        "content_length": number * 13 % 400,
        "attachments": number % 2,
        "reactions": number % 5,
        "analysis": {
            "sentiment": ("positive", "neutral", "negative")[number % 3],
            "topics": [["gaming", "discussion"], ["質問"], []][number % 3],
        },
    }
