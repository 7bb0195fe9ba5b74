-- Data of goal-mandala; the schema is what projects/goal-mandala/prisma/migrations makes.
-- Needs two settings: samples.users (how many) and samples.today (the day the data ends).

INSERT INTO "User" (id, email, name, industry, "companySize", "createdAt", "updatedAt")
SELECT 'clu' || lpad(n::text, 8, '0'), 'user' || n || '@goal-mandala.example',
    (ARRAY['中村 悠真', '小林 凛', 'Sophia Turner', '加藤 葵', 'Lucas Martin', '吉田 樹', '山田 花子'])[1 + n % 7],
    (enum_range(NULL::"Industry"))[1 + n % 4], CASE WHEN n % 3 = 0 THEN NULL ELSE 10 * n END,
    timestamp '2023-12-01 12:00' + n * interval '7 hours', timestamp '2024-12-01 12:00:00.123' + n * interval '1 hour'
FROM generate_series(1, current_setting('samples.users')::int) AS n;

INSERT INTO "Goal" (id, "userId", title, description, deadline, status, background, "createdAt", "updatedAt")
SELECT 'clg' || lpad(n::text, 8, '0'), 'clu' || lpad(n::text, 8, '0'),
    (ARRAY['TOEIC 900点を取る', 'Run a full marathon', '社内システムを内製化する', '英語で会議を進める'])[1 + n % 4],
    CASE WHEN n % 5 <> 0 THEN '毎日少しずつ進める。' || repeat('継続は力なり。', n % 9) END,
    current_setting('samples.today')::date + n % 300, (enum_range(NULL::"GoalStatus"))[1 + n % 4],
    jsonb_build_object('motivation', 'キャリア', 'scale', jsonb_build_array(n, NULL, 'x"y')),
    timestamp '2024-01-01', timestamp '2024-06-01'
FROM generate_series(1, current_setting('samples.users')::int) AS n;

INSERT INTO "SubGoal" (id, "goalId", title, "order", position, progress, "createdAt", "updatedAt")
SELECT 'cls' || lpad(n::text, 8, '0') || p, 'clg' || lpad(n::text, 8, '0'),
    (ARRAY['語彙', 'Listening', '模試', '体力', 'Team', '予算', '習慣', '健康'])[p], p - 1, ARRAY[p / 3, p % 3],
    (n * p) % 101, timestamp '2024-01-01', timestamp '2024-06-01'
FROM generate_series(1, current_setting('samples.users')::int) AS n, generate_series(1, 8) AS p;

INSERT INTO "Action" (id, "subGoalId", title, tags, "order", progress, "createdAt", "updatedAt")
SELECT replace(id, 'cls', 'cla') || a, id, '行動 ' || a || ' of ' || title, ARRAY['習慣', 'week ' || a], a - 1,
    (a * 13) % 101, timestamp '2024-01-01', timestamp '2024-06-01'
FROM "SubGoal", generate_series(1, 8) AS a;

-- Each goal leads to another one, the last to the first: a cycle within one table.
UPDATE "Goal" SET "nextGoalId" = coalesce((SELECT min(following.id) FROM "Goal" AS following
    WHERE following.id > "Goal".id), (SELECT min(id) FROM "Goal")) WHERE right(id, 1) < '3' OR id = (SELECT max(id) FROM "Goal");

REFRESH MATERIALIZED VIEW "GoalProgress";
