-- What the loader asks of the database: the API and the ticker say it in the same words, so that
-- pg_stat_statements has each once.

-- statement health
SELECT 1

-- statement spans_of_owner
SELECT id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload
FROM ledger.visible_timeline WHERE owner_id = %s ORDER BY at DESC LIMIT %s

-- statement spans_of_owner_and_type
SELECT id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload
FROM ledger.visible_timeline WHERE owner_id = %s AND entity_type = %s ORDER BY at DESC LIMIT %s

-- statement span_of_owner
SELECT id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload
FROM ledger.visible_timeline WHERE owner_id = %s AND id = %s

-- statement children
SELECT id, at, entity_type, status FROM ledger.visible_timeline WHERE parent_id = %s ORDER BY at

-- statement timeline
SELECT id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload FROM ledger.visible_timeline ORDER BY at DESC LIMIT %s

-- statement insert
INSERT INTO ledger.universal_registry
    (entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, payload)
VALUES (%s, %s, %s, %s, %s, coalesce(%s, 'complete'), %s, %s, %s, %s) RETURNING id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload
