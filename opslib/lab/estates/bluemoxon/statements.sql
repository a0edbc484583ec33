-- What the app and its functions ask of the database.

-- statement reachable
SELECT 1 FROM books LIMIT 1

-- statement books
SELECT * FROM books ORDER BY id LIMIT %s OFFSET %s

-- statement book
SELECT * FROM books WHERE id = %s

-- statement images
SELECT id, s3_key, display_order FROM book_images WHERE book_id = %s ORDER BY display_order, id

-- statement listings
SELECT * FROM listings ORDER BY created_at DESC LIMIT 50

-- statement listings_like
SELECT item, title FROM listings WHERE title ILIKE %s ORDER BY id

-- statement stats
SELECT (SELECT count(*) FROM books) AS books, (SELECT count(*) FROM book_images) AS book_images,
       (SELECT count(*) FROM listings) AS listings, (SELECT count(*) FROM users) AS users

-- statement user
SELECT cognito_sub, role FROM users WHERE email = %s

-- statement keep_user
INSERT INTO users (cognito_sub, email, role, created_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (email) DO UPDATE SET cognito_sub = excluded.cognito_sub, role = excluded.role

-- statement few_images
SELECT book_id FROM book_images
GROUP BY book_id
HAVING count(*) = 3 AND book_id NOT IN (SELECT book_id FROM analysis_jobs WHERE created_at > %s)
ORDER BY book_id DESC LIMIT 1

-- statement forget_images
DELETE FROM book_images WHERE s3_key = ANY(%s)
