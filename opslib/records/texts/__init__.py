"""What records say: found by its words, and compared."""
