"""What of the app's code runs: when its functions' versions went live, and the variables that they have."""

from __future__ import annotations

from opslib.lab.estates.bluemoxon import names, queues
from opslib.lab.estates.bluemoxon.migrations import MIGRATIONS
from opslib.lab.places import Place
from opslib.lab.resources import secrets
from opslib.lab.resources.functions import Build

BUILD = Build(
    runtime="python3.12",
    handler="app.main.handler",
    published={
        "api": (44, 31, 24, 17, 10, 3),
        "analysis-worker": (44, 24, 10, 3),
        "eval-runbook-worker": (44, 24, 10, 3),
        "scraper": (58, 31, 17, 12),
        "db-sync": (58, 37, 12),
        "cleanup": (58, 37),
    },
    schema=MIGRATIONS.head,
    concurrency={"analysis-worker": 5, "scraper": 2},
)


def variables(place: Place) -> dict[str, dict[str, str]]:
    """The functions' environment by key: what the facts name. Two of the values are secrets."""
    rng = names.generator(place, "variables")
    known = {
        "ENVIRONMENT": place.target.environment,
        "DATABASE_SECRET_ARN": secrets.arn(place, place.facts["database"]["secret"]),
        "SOURCE_SECRET_ARN": _source_arn(place),
        "IMAGES_BUCKET": names.bucket(place),
        "COGNITO_POOL_ID": place.memory["pool"],
        "ANALYSIS_QUEUE_URL": queues.url(place, names.queue(place, "analysis")),
        "BEDROCK_MODEL": "anthropic.claude-opus-4-5-20251101-v1:0",
        "LOG_LEVEL": "INFO",
        "SENTRY_DSN": f"https://{rng.getrandbits(128):032x}@o450112.ingest.us.sentry.io/4507{rng.randrange(10**6):06d}",
        "EBAY_CLIENT_SECRET": f"PRD-{rng.getrandbits(48):012x}-{rng.getrandbits(32):08x}-{rng.getrandbits(32):08x}",
    }
    return {
        key: {name: known.get(name, "on") for name in facts["variables"]}
        for key, facts in place.facts["functions"].items()
    }


def _source_arn(place: Place) -> str:
    """The ARN of production's database secret, as staging's db-sync knows it."""
    if "sync" not in place.facts:
        return ""
    source = place.world.places.get(str(place.facts["sync"]["source"]))
    if source is None:
        return ""
    return names.arn(source, "secretsmanager", f"secret:{source.facts['database']['secret']}")
