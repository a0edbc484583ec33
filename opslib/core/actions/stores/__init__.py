"""What is done to stores: objects of S3, documents of a search domain, keys of a cache."""

from opslib.core.actions.stores import caches, objects, searches

__all__ = ["caches", "objects", "searches"]
