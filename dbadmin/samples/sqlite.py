"""Make the SQLite database of MangaAnime."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path

import apsw

from dbadmin.samples.applications import LARGE, SMALL, SQL

WORKS = (
    ("葬送のフリーレン", "ソウソウノフリーレン", "Frieren: Beyond Journey's End", "anime"),
    ("ダンジョン飯", "ダンジョンメシ", "Delicious in Dungeon", "manga"),
    ("薬屋のひとりごと", "クスリヤノヒトリゴト", "The Apothecary Diaries", "anime"),
    ("宇宙兄弟", "ウチュウキョウダイ", "Space Brothers", "manga"),
    ("よつばと！", "ヨツバト", "Yotsuba&!", "manga"),
    ("SPY×FAMILY", "スパイファミリー", None, "anime"),
    ("本好きの下剋上", "ホンズキノゲコクジョウ", "Ascendance of a Bookworm", "anime"),
)
PLATFORMS = ("dアニメストア", "Netflix", "BookWalker", "Prime Video")
WORKS_AT = {SMALL: 140, LARGE: 2_000}
RELEASES_PER_WORK = 60


def create_sqlite(path: Path, rows: str = SMALL, *, today: date | None = None) -> bool:
    """Make the database in WAL mode and say whether it was made; one that is there stays as it is.

    The same ``rows`` and ``today`` (default: now, in UTC) give the same content.
    """
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.loading")
    for name in (temporary, Path(f"{temporary}-wal"), Path(f"{temporary}-shm")):
        name.unlink(missing_ok=True)
    connection = apsw.Connection(str(temporary))
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute((SQL / "mangaanime.sql").read_text(encoding="utf-8"))
        with connection:
            _fill(connection, works=WORKS_AT[rows], today=today or datetime.now(UTC).date())
    finally:
        connection.close()
    os.rename(temporary, path)
    return True


def _fill(connection: apsw.Connection, *, works: int, today: date) -> None:
    midnight = datetime.combine(today, time())
    numbers = range(1, works + 1)
    connection.executemany(
        "INSERT INTO works (id, title, title_kana, title_en, type, official_url, created_at) VALUES (?,?,?,?,?,?,?)",
        [_work(number, midnight) for number in numbers],
    )
    connection.executemany(
        "INSERT INTO releases (work_id, release_type, number, platform, release_date, source_url, notified, created_at)"
        " VALUES (?,?,?,?,?,?,?,?)",
        [_release(work, number, midnight) for work in numbers for number in range(1, RELEASES_PER_WORK + 1)],
    )
    connection.executemany(
        'INSERT INTO "視聴 履歴" VALUES (?,?,?)',
        [(work, str(today - timedelta(days=work % 90)), "面白い" * (work % 4) or None) for work in numbers],
    )
    covers = [(work, sha256(f"cover {work}".encode()).digest() * 200) for work in numbers]
    connection.executemany("INSERT INTO covers VALUES (?,?)", covers)


def _work(number: int, midnight: datetime) -> tuple[int | str | None, ...]:
    title, kana, english, kind = WORKS[number % len(WORKS)]
    volume = number // len(WORKS)
    added = midnight - timedelta(days=number)
    return (
        number,
        f"{title} {volume}".strip(),
        kana,
        english,
        kind,
        f"https://works.example/{number}" if number % 9 else None,
        str(added),
    )


def _release(work: int, number: int, midnight: datetime) -> tuple[int | str | None, ...]:
    """One release a week, the last ones still to come; a few old ones were forgotten."""
    released = (midnight + timedelta(days=7 * (number - RELEASES_PER_WORK + 3) + work % 7)).date()
    notified = released < midnight.date() and not (work == 3 and number % 4 == 0)
    kind = "volume" if WORKS[work % len(WORKS)][3] == "manga" else "episode"
    seen = midnight - timedelta(hours=RELEASES_PER_WORK - number, minutes=work % 60)
    return (
        work,
        kind,
        str(number) if number % 30 else f"第{number}話",
        PLATFORMS[(work + number) % len(PLATFORMS)],
        str(released) if number % 41 else None,
        f"https://releases.example/{work}/{number}",
        int(notified),
        str(seen),
    )
