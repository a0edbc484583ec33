"""How a target of bluemoxon begins, and how its day goes on."""

from __future__ import annotations

from datetime import datetime, timedelta

from moto.moto_api._internal import mock_random

from opslib.lab.estates.base import Place
from opslib.lab.estates.bluemoxon import (
    buckets,
    certificates,
    databases,
    functions,
    journals,
    measures,
    monitors,
    names,
    networks,
    queues,
    users,
    workers,
)


def seed(place: Place) -> None:
    """Everything that the target has at the lab's start, and the day before in logs and metrics."""
    mock_random.seed(names.number(place, "identifiers"))  # ids of resources: the same for the same seed
    vpc = networks.seed(place)
    databases.seed(place)
    users.seed(place)
    queues.seed(place)
    buckets.seed(place)
    functions.seed(place, _variables(place), vpc)
    measures.seed(place)
    monitors.seed(place)
    certificates.seed(place)
    journals.append_day(place, names.start(place) - timedelta(days=1), names.start(place))
    journals.append_jobs(place)
    place.memory["told"] = names.start(place)


def tick(place: Place, now: datetime) -> None:
    """A second of the day: log lines, jobs, what somebody deployed meanwhile."""
    functions.observe(place, now)
    journals.append_day(place, place.memory["told"], now)
    place.memory["told"] = now
    workers.tick(place, now)


def _variables(place: Place) -> dict[str, dict[str, str]]:
    """The functions' environment by key: what the facts name. Two of the values are secrets."""
    rng = names.generator(place, "variables")
    known = {
        "ENVIRONMENT": place.target.environment,
        "DATABASE_SECRET_ARN": databases.secret_arn(place, place.facts["database"]["secret"]),
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
