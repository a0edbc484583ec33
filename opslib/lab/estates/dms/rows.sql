-- Tenants, and documents of 120 days. A row from its number n and its digest d: everything in it is told by the seed,
-- but one document of one tenant, which procedures name when they are tried.
WITH made AS (
INSERT INTO tenants (id, name, plan, storage_quota_gb, retention_days, created_at)
SELECT CASE at WHEN 1 THEN '7e4a0000-0000-4000-8000-000000000001' ELSE md5(%(seed)s || name) END::uuid,
       name, plan, quota, retention, %(start)s - interval '300 days' + at * interval '11 days'
FROM (VALUES (1, 'Harbour & Lane', 'pro', 100, 365), (2, 'Okafor Legal', 'enterprise', 500, 3650),
             (3, 'Nordlicht Verlag', 'pro', 100, 90), (4, 'Casa Duarte', 'free', 5, 90),
             (5, 'Mercer Insurance', 'enterprise', 300, 2555), (6, 'Piet & Daughters', 'pro', 50, 180),
             (7, 'City Archive', 'enterprise', 400, 3650), (8, 'Old Mill Press', 'free', 5, 30))
    AS known (at, name, plan, quota, retention)
RETURNING id, name, created_at)
INSERT INTO documents (id, tenant_id, name, content_type, size_bytes, s3_key, status, text, attempts,
    created_at, updated_at, deleted_at)
SELECT d::uuid, t.id, kind || '-' || n || '.pdf', 'application/pdf', size,
       t.id || '/documents/' || d::uuid || '/' || kind || '-' || n || '.pdf',
       CASE WHEN gone THEN 'deleted' ELSE 'ready' END,
       initcap(kind) || ' number ' || n || ' of ' || t.name, 1, made, made + interval '40 seconds',
       CASE WHEN gone THEN made + interval '9 days' END
FROM (
    SELECT n, d, ('x' || substr(d, 1, 4))::bit(16)::int AS a, ('x' || substr(d, 5, 2))::bit(8)::int AS b,
           -- nine days ago nobody worked for two: a lab that is left alone for as long is no quieter than it was then
           %(start)s - %(every)s * (%(rows)s - n) - CASE WHEN %(every)s * (%(rows)s - n) > interval '9 days' THEN interval '2 days' ELSE interval '0' END
           - interval '20 minutes' AS made
    FROM generate_series(1, %(rows)s) AS n, 
         LATERAL (SELECT CASE n WHEN 7 THEN 'd0c00000000040008000000000000007' ELSE md5(%(seed)s || n) END) AS digest (d)
) AS drawn
CROSS JOIN LATERAL (SELECT (ARRAY['invoice', 'contract', 'letter', 'minutes', 'policy'])[1 + b %% 5] AS kind,
    (array[1,2,2,2,3,5,5,7,7,7,7,6,8,2,5,3])[1 + CASE WHEN n + 100 < %(rows)s THEN a %% 16 ELSE a %% 8 END] AS whose) AS what
JOIN LATERAL (SELECT id, name FROM made ORDER BY created_at OFFSET whose - 1 LIMIT 1) AS t ON true
CROSS JOIN LATERAL (SELECT 30000000 + (a::bigint * 4096) AS size, whose = 8 OR (n %% 23 = 4 AND n + 100 < %(rows)s) AS gone) AS its
