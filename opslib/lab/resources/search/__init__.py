"""The lab's stand-in for OpenSearch. It is a stand-in, and says so: no Lucene, no nodes."""

from opslib.lab.resources.search.indices import Unavailable, count, forget, put

__all__ = ["Unavailable", "count", "forget", "put"]
