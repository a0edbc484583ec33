"""What the Lambda functions do when they are invoked."""

from __future__ import annotations

from typing import Any

from opslib.lab.aws.handlers import Invocation
from opslib.lab.estates.loglineos import api, database, schema
from opslib.lab.places import Place
from opslib.lab.traffic import lines


def migrate(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """Applies what the deployed code brings and the database has not had; {} is all that can be asked for."""
    if event:
        raise ValueError(f"Unknown options: {', '.join(sorted(event))}")
    head = invocation.variables["SCHEMA_VERSION"]
    with database.connect(place, "loglineos-db-migration") as connection:
        applied = [revision.name for revision in schema.MIGRATIONS.pending(connection, head)]
        before, after = schema.MIGRATIONS.upgrade(connection, head)
    invocation.log(lines.entry("INFO", place.now(), message="migrations applied", applied=applied, current=after))
    return {"status": "success", "previous": before, "current": after, "applied": applied}


FUNCTIONS = {"loader": api.API.function, "db-migration": migrate}
