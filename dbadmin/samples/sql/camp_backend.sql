-- Data of the camp backend; the schema is what projects/camp-backend/src/alembic makes.
-- Needs two settings: samples.users (how many) and samples.today (the day the data ends).

INSERT INTO sample_users (email, username, hashed_password, is_active, created_at, updated_at)
SELECT 'camper' || n || '@example.jp', 'camper_' || n,
    '$2b$12$' || translate(encode(sha256(convert_to('password' || n, 'UTF8')), 'base64'), '+=/', 'abc'), n % 17 <> 0,
    current_setting('samples.today')::date - n * interval '3 hours',
    current_setting('samples.today')::date - n * interval '1 hour'
FROM generate_series(1, current_setting('samples.users')::int) AS n;

INSERT INTO sample_sessions (user_id, session_id, title, created_at, updated_at)
SELECT 1 + n % current_setting('samples.users')::int, md5('session' || n)::uuid::text,
    (ARRAY['キャンプ場の予約について', 'Where is the nearest onsen?', '雨天時の持ち物', '焚き火のルール', 'Kayak rental', NULL])[1 + n % 6],
    current_setting('samples.today')::date - n * interval '7 minutes',
    current_setting('samples.today')::date - n * interval '6 minutes'
FROM generate_series(1, 5 * current_setting('samples.users')::int) AS n;

INSERT INTO sample_files (user_id, filename, content_type, size, storage_path, created_at)
SELECT 1 + n % current_setting('samples.users')::int,
    (ARRAY['地図.pdf', 'packing list.csv', '写真 ' || n || '.jpg', 'receipt#' || n || '.png'])[1 + n % 4],
    (ARRAY['application/pdf', 'text/csv', 'image/jpeg', 'image/png'])[1 + n % 4], n * 977 % 5000000,
    '/uploads/' || md5(n::text) || '/' || n, current_setting('samples.today')::date - n * interval '11 minutes'
FROM generate_series(1, 3 * current_setting('samples.users')::int) AS n;

-- Thumbnails are bytes in the row, originals are large objects.
INSERT INTO file_contents (file_id, thumbnail, original)
SELECT n, decode(repeat(md5('thumbnail' || n), 40), 'hex') || '\x000a0d5c2eff'::bytea,
    lo_from_bytea(0, decode(repeat(md5('original' || n), 500), 'hex'))
FROM generate_series(1, 40) AS n;

REFRESH MATERIALIZED VIEW storage_usage;
