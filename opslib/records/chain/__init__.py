"""The chain that seals records: where it is kept, what it covers, and how it is made again."""
