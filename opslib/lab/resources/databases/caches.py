"""The cache of a target's file: a Valkey server of its own, and the secret that opens it.

What the file names of ElastiCache describes it; the server is reached without TLS all the same.
"""

from typing import Any

from opslib.lab.aws import ids
from opslib.lab.places import Place
from opslib.lab.resources import names, secrets
from opslib.lab.valkey import Valkey

_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def seed(place: Place, days: int) -> None:
    """It runs, empty; the secret that the file names is its address. `days`: the secret's age."""
    if old := place.world.caches.get(place.name):
        old.stop()
    rng = names.generator(place, "cache")
    password, home = "".join(rng.choices(_LETTERS, k=32)), place.world.postgres.home
    server = place.world.caches[place.name] = Valkey(password, home)
    server.fill({})
    if secret := place.facts["cache"].get("secret"):
        url = f"redis://:{server.password}@127.0.0.1:{server.port}/0"
        secrets.put(place, str(secret), url, days)
    with ids.apart():
        _describe(place)


def _describe(place: Place) -> None:
    """A primary and a replica, or one cluster that stands alone."""
    elasticache, facts = place.client("elasticache"), place.facts["cache"]
    about: dict[str, Any] = {
        "CacheNodeType": "cache.t4g.small",
        "Engine": "redis",
        "EngineVersion": "7.1.0",
        "CacheParameterGroupName": f"{place.called}-redis7",
        "TransitEncryptionEnabled": True,
        "SnapshotRetentionLimit": 1,
    }
    if "cache_group" in place.memory:
        about["SecurityGroupIds"] = [place.memory["cache_group"]]
    if "replication_group" in facts:
        elasticache.create_replication_group(
            ReplicationGroupId=facts["replication_group"],
            ReplicationGroupDescription=place.target.title,
            ReplicasPerNodeGroup=1,
            AutomaticFailoverEnabled=True,
            MultiAZEnabled=True,
            AtRestEncryptionEnabled=True,
            **about,
        )
    if "cluster" in facts:
        elasticache.create_cache_cluster(CacheClusterId=facts["cluster"], NumCacheNodes=1, **about)


def of(place: Place) -> Valkey:
    server: Valkey = place.world.caches[place.name]
    return server
