"""Real PostgreSQL for the lab."""
