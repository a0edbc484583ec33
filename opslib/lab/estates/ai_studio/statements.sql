-- What the backend and the worker ask of the database.

-- statement health
SELECT 1

-- statement jobs_of_user
SELECT id, kind, model, status, created_at FROM jobs WHERE user_id = %s ORDER BY created_at DESC LIMIT %s

-- statement usage_today
SELECT user_id, day, kind, amount FROM usage WHERE day = (now() AT TIME ZONE 'UTC')::date ORDER BY user_id, kind
