"""What of the app's code runs: when its functions' versions went live, and the variables that they have."""

from __future__ import annotations

from opslib.lab.estates.loglineos import schema
from opslib.lab.places import Place
from opslib.lab.resources import secrets
from opslib.lab.resources.functions import Build

BUILD = Build(
    runtime="nodejs20.x",
    handler="index.handler",
    published={"loader": (52, 45, 38, 24, 17, 9, 4)},
    schema=schema.MIGRATIONS.head,
)


def variables(place: Place) -> dict[str, dict[str, str]]:
    """The functions' environment by key: what the facts name."""
    known = {
        "ENVIRONMENT": place.target.environment,
        "DB_SECRET_ARN": secrets.arn(place, place.facts["database"]["secret"]),
        "LOG_LEVEL": "info",
        "MAX_SPAN_BYTES": "262144",
        "SCHEMA_VERSION": schema.MIGRATIONS.head,
    }
    return {key: {name: known[name] for name in facts["variables"]} for key, facts in place.facts["functions"].items()}
