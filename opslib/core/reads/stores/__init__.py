"""What is read of stores: objects of S3, a search domain, keys of a cache."""
