-- The app's schema as Alembic's revisions, in their order.
-- The last one is of the next release, not yet of any database.

-- revision 1a0c4be27d10: users, their subscriptions, their jobs, what they use
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE,
    plan text NOT NULL DEFAULT 'free' CHECK (plan IN ('free', 'creator', 'studio')),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE subscriptions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users,
    plan text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'active', 'cancelled')),
    renews_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users,
    kind text NOT NULL CHECK (kind IN ('text', 'image', 'video')),
    model text NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE usage (
    user_id uuid NOT NULL REFERENCES users,
    day date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('tokens', 'images', 'videos')),
    amount bigint NOT NULL DEFAULT 0,
    synced_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, day, kind)
);

-- revision 2f61d90c83aa: subscriptions and jobs are found by their user
CREATE INDEX subscriptions_user ON subscriptions (user_id);
CREATE INDEX jobs_user ON jobs (user_id, created_at DESC);

-- revision 3b97e5510f4c: jobs are found by their state
CREATE INDEX jobs_status ON jobs (status, updated_at DESC);
-- undo
DROP INDEX IF EXISTS jobs_status;

-- revision 4c02aa7be6d8: a job knows what it cost
ALTER TABLE jobs ADD COLUMN cost_usd numeric;
-- undo
ALTER TABLE jobs DROP COLUMN IF EXISTS cost_usd;
