"""Names out of a target's facts, in the few words that the estates use."""

import zlib
from datetime import datetime
from random import Random

from opslib.core.connections.identities import partition
from opslib.lab.places import Place


def function(place: Place, key: str) -> str:
    return str(place.facts["functions"][key]["name"])


def log_group(place: Place, key: str) -> str:
    return f"/aws/lambda/{function(place, key)}"


def database(place: Place) -> str:
    """The PostgreSQL database and the role that owns it.

    All targets share one server, so each has its own name.
    """
    return place.called.replace("-", "_")


def login_secret(place: Place) -> str:
    """The secret with the database's login: the one that the file names, else RDS's own."""
    return str(place.facts["database"].get("secret") or f"rds!{place.called}")


def gateway(place: Place) -> str:
    """The id of the API in API Gateway."""
    return next(iter(gateways(place)), f"{number(place, 'gateway'):08x}lab"[:10])


def gateways(place: Place) -> list[str]:
    """The ids of all APIs of API Gateway that the file names, but for REST APIs."""
    of = (each.get("dimensions", {}) for each in place.facts.get("metrics", {}).values())
    found = [str(dimensions["ApiId"]) for dimensions in of if "ApiId" in dimensions]
    apis = place.facts.get("apis", {}).values()
    return [*dict.fromkeys(found + [each["id"] for each in apis if each.get("kind") != "REST"])]


def arn(place: Place, service: str, resource: str) -> str:
    return f"arn:{partition(place.region)}:{service}:{place.region}:{place.account}:{resource}"


def owner(place: Place, resource: str) -> str:
    """The ARN of a role, a user or the root of its account."""
    return f"arn:{partition(place.region)}:iam::{place.account}:{resource}"


def generator(place: Place, purpose: str) -> Random:
    """A generator of its own for each purpose, so that one more number here changes nothing
    there.
    """
    return Random(f"{place.rng.random()}/{purpose}")


def shared_generator(place: Place, purpose: str) -> Random:
    """The same numbers in all targets of the system: what was copied from one to another."""
    return Random(f"{place.world.seed}/{place.target.system}/{purpose}")


def number(place: Place, purpose: str) -> int:
    """A seed for `rhythms` of this lab, target and purpose."""
    return zlib.crc32(f"{place.rng.random()}/{purpose}".encode())


def start(place: Place) -> datetime:
    """The lab's start: what is seeded is told from here."""
    return place.world.started
