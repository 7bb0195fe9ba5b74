-- Data of Mirai Knowledge; the schema is what projects/mirai-knowledge/backend/migrations makes.
-- Needs two settings: samples.articles (how many) and samples.today (the day the data ends).

INSERT INTO knowledge.users (username, full_name, department, email)
SELECT 'user' || n, (ARRAY['松本 健', '井上 美咲', '木村 拓', '林 あかり', 'Grace Kelly', '清水 陸'])[1 + n % 6],
    (ARRAY['土木部', '建築部', '安全管理室', 'IT'])[1 + n % 4], 'user' || n || '@mirai.example'
FROM generate_series(1, 60) AS n;

INSERT INTO "工事案件" ("案件コード", "工事名", "工期", "請負金額", "進捗率")
SELECT 'P-' || to_char(n, 'FM0000'), (ARRAY['橋梁補修', 'トンネル掘削', '河川護岸', '道路舗装'])[1 + n % 4] || '工事 第' || n || '工区',
    daterange(date '2024-04-01' + n * 7, CASE WHEN n % 5 = 0 THEN NULL ELSE date '2025-03-31' + n * 7 END),
    CASE WHEN n % 11 = 0 THEN 'NaN' ELSE n * 1234567.89 END, (n * 7) % 101
FROM generate_series(1, 120) AS n;

INSERT INTO knowledge.articles (title, body, category, tags, author_id, metadata, created_at)
SELECT (ARRAY['コンクリート養生の要点', 'Scaffold inspection', '熱中症対策', 'Crane signals', '型枠の点検'])[1 + n % 5] || ' #' || n,
    repeat(E'施工手順:\t温度を測る。\nMeasure twice, cut once. ', 1 + n % 8),
    (enum_range(NULL::knowledge.category))[1 + n % 4], ARRAY[['安全', 'safety'], ['品質', n::text]], 1 + n % 60,
    jsonb_build_object('version', n % 9, 'reviewed', n % 2 = 0, 'ラベル', jsonb_build_array('現場', NULL)),
    current_setting('samples.today')::date - n * interval '50 minutes'
FROM generate_series(1, current_setting('samples.articles')::int) AS n;

INSERT INTO knowledge.incidents (article_id, site, severity, occurred_at, cost)
SELECT n, point(139.6 + n / 1000.0, 35.6 + n / 1000.0), 1 + n % 5,
    current_setting('samples.today')::date - n * interval '1 day', CASE WHEN n % 4 = 0 THEN NULL ELSE n * 1000.5 END
FROM generate_series(1, 200) AS n;

INSERT INTO knowledge.access_logs (user_id, path, at)
SELECT 1 + n % 60, '/knowledge/' || n % 500, current_setting('samples.today')::date - n * interval '13 seconds'
FROM generate_series(1, 10 * current_setting('samples.articles')::int) AS n;

-- Gaps and restarts that a naive copy loses.
SELECT setval('knowledge.report_number', 7, false);
DELETE FROM knowledge.users WHERE id > 58 AND id NOT IN (SELECT author_id FROM knowledge.articles);
REFRESH MATERIALIZED VIEW knowledge.articles_by_category;
