-- COMET: a community bot. Members, channels and messages of Discord-like servers ("guilds").
-- Needs two settings: samples.messages (how many messages) and samples.today (the day the data ends).

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        CREATE EXTENSION pg_trgm;
    END IF;
END $$;

CREATE TYPE sentiment AS ENUM ('positive', 'neutral', 'negative', '不明');
CREATE TYPE preferences AS (notifications boolean, language varchar(5));
CREATE DOMAIN snowflake AS bigint CHECK (VALUE > 0);

CREATE TABLE schema_migrations (
    version text PRIMARY KEY,
    description text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_migrations IS 'Versions of utils/db_migration.py that ran here';

CREATE TABLE guilds (
    guild_id snowflake PRIMARY KEY,
    name text NOT NULL,
    icon bytea,
    system_channel_id snowflake,
    created_at timestamptz NOT NULL
);

-- A guild names its system channel, a channel names its guild: neither can be loaded first.
CREATE TABLE channels (
    channel_id snowflake PRIMARY KEY,
    guild_id snowflake NOT NULL REFERENCES guilds ON DELETE CASCADE,
    name text NOT NULL,
    topic text,
    UNIQUE (guild_id, name)
);
ALTER TABLE guilds ADD CONSTRAINT guilds_system_channel_fkey FOREIGN KEY (system_channel_id)
    REFERENCES channels (channel_id) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE members (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000 INCREMENT BY 10) PRIMARY KEY,
    guild_id snowflake NOT NULL REFERENCES guilds,
    user_id snowflake NOT NULL,
    display_name text NOT NULL,
    roles text[] NOT NULL DEFAULT '{}',
    prefers preferences NOT NULL DEFAULT ROW(true, 'ja'),
    statistics jsonb NOT NULL DEFAULT '{"message_count": 0}',
    message_count integer GENERATED ALWAYS AS ((statistics ->> 'message_count')::integer) STORED,
    joined_at timestamptz NOT NULL,
    left_at timestamptz DEFAULT 'infinity',
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (guild_id, user_id)
);
COMMENT ON COLUMN members.left_at IS '退会日時。在籍中は infinity';

CREATE TABLE messages (
    message_id bigint NOT NULL,
    channel_id snowflake NOT NULL REFERENCES channels,
    author_id snowflake NOT NULL,
    sent_at timestamptz NOT NULL,
    content text NOT NULL,
    content_length integer GENERATED ALWAYS AS (length(content)) STORED,
    attachments smallint NOT NULL DEFAULT 0,
    reactions jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (message_id, sent_at)
) PARTITION BY RANGE (sent_at);

-- One partition a month for the last six months, and one for everything else.
DO $$
DECLARE
    first_day date := date_trunc('month', current_setting('samples.today')::date);
    month date;
BEGIN
    FOR number IN 0..5 LOOP
        month := first_day - make_interval(months => number);
        EXECUTE format('CREATE TABLE messages_%s PARTITION OF messages FOR VALUES FROM (%L) TO (%L)',
            to_char(month, 'YYYY_MM'), month::timestamp AT TIME ZONE 'UTC',
            (month + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END $$;
CREATE TABLE messages_older PARTITION OF messages DEFAULT;
CREATE INDEX messages_by_channel ON messages (channel_id, sent_at DESC);

CREATE TABLE message_analysis (
    message_id bigint PRIMARY KEY,
    sentiment sentiment NOT NULL DEFAULT '不明',
    topics text[] NOT NULL,
    analysed_at timestamptz NOT NULL
);
CREATE INDEX message_analysis_topics ON message_analysis USING gin (topics);

CREATE TABLE "サーバー設定" (
    "ギルドID" snowflake PRIMARY KEY REFERENCES guilds (guild_id),
    "歓迎メッセージ" text,
    "通知" boolean NOT NULL DEFAULT true,
    "Prefix ""コマンド""" varchar(3) NOT NULL DEFAULT '!'
);
COMMENT ON TABLE "サーバー設定" IS 'サーバーごとの設定 (per-guild settings)';

CREATE TABLE spam_reports (
    id serial PRIMARY KEY,
    message_id bigint NOT NULL,
    reason text
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
        CREATE INDEX members_display_name ON members USING gin (display_name gin_trgm_ops);
    END IF;
END $$;

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER members_touched BEFORE UPDATE ON members FOR EACH ROW EXECUTE FUNCTION touch();

INSERT INTO schema_migrations VALUES
    ('1.0.0', 'Create initial tables', '2024-01-01 00:00+00'),
    ('1.1.0', 'Add user preferences to member data', '2024-06-15 03:30+00'),
    ('1.2.0', 'Partition messages by month', '2025-02-01 18:05+00');

BEGIN;
INSERT INTO guilds (guild_id, name, icon, system_channel_id, created_at)
SELECT 987654320 + g,
    (ARRAY['COMET 公式サーバー', 'ゲーム部', 'Tokyo Study Group', '天文同好会', 'Café ☄️ Lounge'])[g],
    decode(md5('icon' || g), 'hex') || '\x00ff5c2709'::bytea,
    800000000 + g * 100 + 1,
    timestamptz '2023-12-24 12:00+00' + g * interval '17 days'
FROM generate_series(1, 5) AS g;
INSERT INTO channels
SELECT 800000000 + g * 100 + c, 987654320 + g,
    (ARRAY['general', '雑談', '質問', 'gaming', 'announcements', 'off topic'])[c],
    CASE WHEN c % 2 = 0 THEN E'ルール:\n1.\t仲良く\n2.\t\\. は終わりではない' END
FROM generate_series(1, 5) AS g, generate_series(1, 6) AS c;
COMMIT;

INSERT INTO members (guild_id, user_id, display_name, roles, prefers, statistics, joined_at)
SELECT 987654320 + 1 + n % 5, 123456000 + n,
    (ARRAY['佐藤', '鈴木', '高橋', 'Emma', 'Oliver', '田中', '伊藤', '渡辺', 'Noah', '山本', '髙﨑'])[1 + n % 11] || ' '
        || (ARRAY['陽菜', '蓮', '結衣', 'Smith', 'O''Brien', '大翔', 'さくら', '湊', 'Müller'])[1 + n % 9],
    (ARRAY['{member}', '{member,moderator}', '{}', '{"role, with comma",NULL}'])[1 + n % 4]::text[],
    ROW(n % 3 <> 0, CASE WHEN n % 4 = 0 THEN 'en' ELSE 'ja' END)::preferences,
    jsonb_build_object('message_count', n * 7 % 500, 'last_active', current_setting('samples.today')::date - n % 40),
    timestamptz '2024-01-01 00:00+00' + n * interval '5 hours'
FROM generate_series(1, 600) AS n;

INSERT INTO messages (message_id, channel_id, author_id, sent_at, content, attachments, reactions)
SELECT 1100000000 + n, 800000000 + (1 + n % 5) * 100 + 1 + n % 6, 123456001 + n * 31 % 600,
    current_setting('samples.today')::date::timestamp AT TIME ZONE 'UTC'
        - make_interval(secs => (current_setting('samples.messages')::bigint - n) * 17280000 / current_setting('samples.messages')::bigint),
    (ARRAY['おはようございます！', 'Has anybody tried the new map?', '明日の集合は何時ですか', 'GG 👏', E'引用:\n\t> そうですね\\n'])[1 + n % 5]
        || ' ' || repeat(md5(n::text), 1 + n % 6),
    (n % 23 = 0)::int, CASE WHEN n % 7 = 0 THEN jsonb_build_object('👍', n % 12, '☄️', 1) ELSE '{}' END
FROM generate_series(1, current_setting('samples.messages')::int) AS n;

INSERT INTO message_analysis
SELECT message_id, (enum_range(NULL::sentiment))[1 + message_id % 4],
    (ARRAY['{gaming,discussion}', '{質問}', '{}'])[1 + message_id % 3]::text[], sent_at + interval '2 seconds'
FROM messages WHERE message_id % 10 = 0;

INSERT INTO "サーバー設定"
SELECT guild_id, CASE WHEN guild_id % 2 = 0 THEN 'ようこそ、{name} さん！' ELSE '' END, guild_id % 3 > 0, '!'
FROM guilds WHERE guild_id < 987654325;

CREATE VIEW active_members AS
SELECT guild_id, display_name, message_count FROM members WHERE left_at = 'infinity' AND message_count > 100;

CREATE MATERIALIZED VIEW "日別メッセージ数" AS
SELECT (sent_at AT TIME ZONE 'Asia/Tokyo')::date AS "日付", count(*) AS "件数" FROM messages GROUP BY 1;
CREATE UNIQUE INDEX ON "日別メッセージ数" ("日付");
