"""What there is: procedures and their parameters, runbooks, the table of contents."""
