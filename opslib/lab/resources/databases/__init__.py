"""A target's database: real PostgreSQL, what RDS knows of it, its migrations."""
