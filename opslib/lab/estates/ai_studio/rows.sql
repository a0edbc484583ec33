-- Users, subscriptions, and jobs and usage of thirty days. A row from its number n and its digest: everything is told by
-- the seed, but the first three users, whom procedures name when they are tried.
WITH made AS (
INSERT INTO users (id, email, plan, is_active, created_at)
SELECT CASE WHEN n <= 3 THEN ('5e5a0000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid ELSE md5(%(seed)s || 'user' || n)::uuid END,
       (ARRAY['mira', 'jonas', 'aylin', 'paolo', 'sven', 'ines', 'tomas', 'leila'])[1 + n %% 8] || n || '@example.com',
       (ARRAY['free', 'free', 'creator', 'free', 'studio'])[1 + n %% 5], n %% 97 <> 0,
       %(start)s - n * interval '21 hours'
FROM generate_series(1, 240) AS n
RETURNING id, email, plan, is_active, created_at),
paying AS (
INSERT INTO subscriptions (id, user_id, plan, status, renews_at, created_at)
SELECT md5(%(seed)s || 'subscription' || id)::uuid, id, plan, CASE WHEN is_active THEN 'active' ELSE 'cancelled' END,
       CASE WHEN is_active THEN %(start)s + interval '12 days' END, created_at + interval '3 hours'
FROM made WHERE plan <> 'free'),
worked AS (
INSERT INTO jobs (id, user_id, kind, model, status, attempts, error, created_at, updated_at)
SELECT d::uuid, u.id, kind, CASE kind WHEN 'text' THEN 'gpt-4o-mini' WHEN 'image' THEN 'gpt-image-1' ELSE 'veo-3' END,
       'done', 1, NULL, made, made + CASE kind WHEN 'video' THEN interval '4 minutes' ELSE interval '19 seconds' END
FROM (SELECT n, d, ('x' || substr(d, 1, 4))::bit(16)::int AS a,
             -- nine days ago nobody worked for two: a lab that is left alone for as long is no quieter than it was then
             %(start)s - %(every)s * (%(rows)s - n) - CASE WHEN %(every)s * (%(rows)s - n) > interval '9 days' THEN interval '2 days' ELSE interval '0' END
             - interval '25 minutes' AS made
      FROM generate_series(1, %(rows)s) AS n, LATERAL (SELECT md5(%(seed)s || n)) AS digest (d)) AS drawn
CROSS JOIN LATERAL (SELECT (ARRAY['text', 'image', 'image', 'video', 'text'])[1 + a %% 5] AS kind) AS what
JOIN LATERAL (SELECT id FROM made WHERE is_active ORDER BY created_at OFFSET a %% 200 LIMIT 1) AS u ON true)
INSERT INTO usage (user_id, day, kind, amount, synced_at)
SELECT u.id, day::date, kind, CASE kind WHEN 'tokens' THEN 900 + ('x' || substr(d, 1, 3))::bit(12)::int * 7 ELSE 1 + length(u.email) %% 9 END,
       CASE WHEN day = date_trunc('day', %(start)s AT TIME ZONE 'UTC') THEN %(start)s - interval '2 minutes' ELSE day + interval '23 hours 58 minutes' END
FROM (SELECT id, email FROM made WHERE is_active ORDER BY created_at DESC LIMIT 40) AS u,
     generate_series(date_trunc('day', %(start)s AT TIME ZONE 'UTC') - interval '29 days', date_trunc('day', %(start)s AT TIME ZONE 'UTC'), '1 day') AS day,
     unnest(ARRAY['tokens', 'images', 'videos']) AS kind,
     -- the day by how long ago it was: a lab of another date has the same
     LATERAL (SELECT md5(%(seed)s || u.id || extract(day FROM date_trunc('day', %(start)s AT TIME ZONE 'UTC') - day) || kind)) AS digest (d)
WHERE kind = 'tokens' OR ('x' || substr(d, 4, 1))::bit(4)::int < 5
