"""What an estate's files may say, and how they are read."""
