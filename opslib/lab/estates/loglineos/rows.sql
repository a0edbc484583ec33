-- Rows of thirty days. A row from its number n and its digest d: everything in it is told by the seed.
INSERT INTO ledger.universal_registry
    (id, seq, entity_type, who, did, "this", at, name, status, tenant_id, owner_id, parent_id, duration_ms, error, payload,
     is_deleted)
SELECT d::uuid, 0, kind, who, did, kind || '.' || what, %(start)s - %(every)s * (%(rows)s - n) - %(every)s * (a / 65536.0),
       what || ' ' || n, CASE WHEN failed THEN 'error' WHEN kind = 'execution' THEN 'complete' ELSE 'active' END,
       'tenant-' || to_char(1 + tenant * tenant / 5500, 'FM00'), 'user-' || to_char(1 + o %% 8000, 'FM0000'),
       CASE WHEN kind = 'execution' AND n > 40 THEN md5(%(seed)s || (n - 1 - a %% 40))::uuid END,
       CASE WHEN kind = 'execution' THEN 8 + (a %% 97) * (1 + o %% 5) END,
       CASE WHEN failed THEN (ARRAY['kernel timed out after 5 s', 'quota of the tenant is used up',
            'policy refused: outside of hours', 'TypeError: input is undefined'])[1 + a %% 4] END,
       CASE WHEN kind <> 'execution' THEN jsonb_build_object('bytes', 200 + o %% 9000, 'version', 1 + a %% 7) END,
       o %% 997 = 0
FROM (
    SELECT *, (a %% 211 = 7 AND kind = 'execution') AS failed,
           CASE kind WHEN 'execution' THEN 'kernel:run_code' WHEN 'policy' THEN 'kernel:policy_agent' ELSE 'edge:api' END AS who,
           (ARRAY['ingest', 'summarise', 'index', 'notify', 'review', 'export', 'translate'])[1 + b %% 7] AS what,
           CASE kind WHEN 'execution' THEN 'executed' WHEN 'policy' THEN 'evaluated' ELSE 'defined' END AS did
    FROM (
        SELECT n, d, ('x' || substr(d, 1, 4))::bit(16)::int AS a, ('x' || substr(d, 5, 2))::bit(8)::int AS b,
               ('x' || substr(d, 9, 6))::bit(24)::int AS o, ('x' || substr(d, 17, 2))::bit(8)::int AS tenant,
               (ARRAY['execution', 'execution', 'execution', 'execution', 'execution', 'execution', 'execution',
                      'span', 'span', 'span', 'file', 'file', 'function', 'policy', 'agent', 'request'])
                   [1 + ('x' || substr(d, 7, 1))::bit(4)::int] AS kind
        FROM generate_series(1, %(rows)s) AS n, LATERAL md5(%(seed)s || n) AS d
    ) AS numbers
) AS drawn
