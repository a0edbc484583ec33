-- What the functions ask of the database: the API and the ticker say it in the same words, so that
-- pg_stat_statements has each once.

-- statement health
SELECT 1

-- statement documents
SELECT id, name, status, size_bytes, created_at FROM documents
WHERE tenant_id = %s AND deleted_at IS NULL ORDER BY created_at DESC LIMIT %s

-- statement document
SELECT id, tenant_id, name, content_type, status, size_bytes, s3_key, error_message, attempts, text, created_at
FROM documents WHERE id = %s

-- statement views
SELECT at, agent FROM document_views WHERE document_id = md5(%s)::uuid ORDER BY at DESC LIMIT 20

-- statement tenants
SELECT id, name FROM tenants ORDER BY name

-- statement upload
INSERT INTO documents (tenant_id, name, content_type, size_bytes, s3_key)
VALUES (%s, %s, %s, %s, %s) RETURNING id, tenant_id, s3_key, status

-- statement stored
SELECT id, tenant_id, name, size_bytes, s3_key, created_at, deleted_at, text FROM documents WHERE status = ANY(%s)
ORDER BY created_at

-- statement begun
UPDATE documents SET status = 'processing', attempts = %s, error_message = NULL, updated_at = now() WHERE id = %s

-- statement ended
UPDATE documents SET status = %s, error_message = %s, text = coalesce(%s, text), updated_at = now() WHERE id = %s

-- statement uploaded
INSERT INTO documents (id, tenant_id, name, content_type, size_bytes, s3_key)
SELECT %s::uuid, id, %s, 'application/pdf', %s, id || '/documents/' || %s::text || '/' || %s::text FROM tenants ORDER BY name LIMIT 1
RETURNING id, tenant_id, s3_key

-- statement removed
DELETE FROM documents WHERE id = ANY(%s::uuid[])
