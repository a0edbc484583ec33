"""What is in the database: statements, rows, queries."""
