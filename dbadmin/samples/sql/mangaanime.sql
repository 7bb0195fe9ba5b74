-- MangaAnime-Info: new episodes and volumes, and whether the reader was told of them. SQLite.

CREATE TABLE works (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    title_kana TEXT,
    title_en TEXT,
    type TEXT NOT NULL CHECK (type IN ('anime', 'manga')),
    official_url TEXT,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE releases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    work_id INTEGER NOT NULL REFERENCES works (id),
    release_type TEXT NOT NULL CHECK (release_type IN ('episode', 'volume')),
    number TEXT,
    platform TEXT,
    release_date DATE,
    source_url TEXT,
    notified INTEGER NOT NULL DEFAULT 0,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    overdue INTEGER GENERATED ALWAYS AS (notified = 0 AND release_date IS NOT NULL) VIRTUAL,
    UNIQUE (work_id, release_type, number, platform)
);
CREATE INDEX releases_unnotified ON releases (release_date) WHERE notified = 0;

CREATE TABLE "視聴 履歴" (
    "作品" INTEGER NOT NULL REFERENCES works (id),
    "日付" DATE NOT NULL,
    "感想" TEXT,
    PRIMARY KEY ("作品", "日付")
) WITHOUT ROWID;

CREATE TABLE covers (
    work_id INTEGER PRIMARY KEY REFERENCES works (id),
    image BLOB NOT NULL
);

CREATE TABLE notification_queue (
    id INTEGER PRIMARY KEY,
    release_id INTEGER NOT NULL REFERENCES releases (id),
    send_after DATETIME
);

CREATE VIRTUAL TABLE works_search USING fts5 (title, title_en, content = 'works', content_rowid = 'id');

CREATE TRIGGER works_indexed AFTER INSERT ON works BEGIN
    INSERT INTO works_search (rowid, title, title_en) VALUES (new.id, new.title, new.title_en);
END;

CREATE VIEW upcoming AS
SELECT works.title, releases.number, releases.platform, releases.release_date
FROM releases JOIN works ON works.id = releases.work_id
WHERE releases.notified = 0;

PRAGMA user_version = 3;
