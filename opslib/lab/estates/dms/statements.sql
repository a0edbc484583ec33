-- What the functions ask of the database: the API and the ticker say it in the same words, so that
-- pg_stat_statements has each once.

-- statement health
SELECT 1

-- statement documents
SELECT id, name, status, size_bytes, created_at FROM documents
WHERE tenant_id = %s AND deleted_at IS NULL ORDER BY created_at DESC LIMIT %s

-- statement document
SELECT id, tenant_id, name, status, size_bytes, s3_key, error_message, attempts, text FROM documents WHERE id = %s

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
