"""What a step does, as data: shown, hashed, kept and performed."""
