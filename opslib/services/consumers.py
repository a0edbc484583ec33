"""Services whose tasks hold a secret's value: read when a task starts, and kept as long as it runs.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from opslib.core import Anew, Connection, Frame, Json, Step, dtypes, frame, services
from opslib.services.reading import Service

CONSUMERS = dtypes("""
    service str
    takes   str
    pinned  bool
    tasks   int64
    older   int64
    oldest  utc
    rolling bool
""")
_ARN_PARTS, _SUFFIX = 7, 7  # of arn:aws:secretsmanager:region:account:secret:name; `-AbCdEf`


def list_consumers(ops: Connection, arn: str, since: datetime, key: str = "") -> Frame:
    """Services of the target whose task definition takes a secret, or names it in a variable.

    `key`: of a JSON secret; who takes others of it alone is left out.

    Columns: CONSUMERS; `older`: tasks that run and were started before `since`; `pinned`: it asks
    for one version, so for no newer one; `rolling`: a deployment of after `since` is under
    way. None where the target's file describes no services.
    """
    if "services" not in ops.target.facts:
        return frame((), CONSUMERS)
    told = Service.each(ops, "", lambda of: [*_rows(of, arn, since, key)], "secrets of {}")
    return frame((row for rows in told for row in rows), CONSUMERS)


def _rows(service: Service, arn: str, since: datetime, key: str) -> Iterator[Json]:
    found = [
        (name, rest)
        for name, of, rest in taken(service.definition())
        if _names(of, arn) and (not key or "".join(rest[:1]) in ("", key))
    ]
    if not found:
        return
    started = [each.get("startedAt") or each["createdAt"] for each in service.tasks("RUNNING")]
    newest = services.primary(service.described) or {"createdAt": since}
    yield {
        "service": service.key,
        "takes": ", ".join(name for name, _ in found),
        "pinned": any("".join(rest[1:]) not in ("", "AWSCURRENT") for _, rest in found),
        "tasks": len(started),
        "older": sum(at < since for at in started),
        "oldest": min(started, default=None),
        "rolling": newest["createdAt"] > since and newest.get("rolloutState") == "IN_PROGRESS",
    }


def taken(definition: Json) -> Iterator[tuple[str, str, list[str]]]:
    """By whom it is taken, the secret, and what of it: key, stage, version."""
    for container in definition["containerDefinitions"]:
        options = container.get("logConfiguration", {}).get("secretOptions", ())
        for each in (*container.get("secrets", ()), *options):
            parts = each["valueFrom"].split(":")
            yield each["name"], ":".join(parts[:_ARN_PARTS]), parts[_ARN_PARTS:]
        for each in container.get("environment", ()):
            yield f"{each['name']} (its name)", each["value"], []
        if of := container.get("repositoryCredentials", {}).get("credentialsParameter"):
            yield "the registry's login", of, []


def _names(of: str, arn: str) -> bool:
    """An ARN may lack its last six signs; a variable may hold the name."""
    short = arn[:-_SUFFIX]
    return of in (arn, short, short.split(":", _ARN_PARTS - 1)[-1])


def steps_anew(ops: Connection, services: Sequence[str]) -> list[Step]:
    """Steps that start the tasks of each anew, so that they read what is there now.

    Raises Refused: something else than ECS deploys it.
    """
    steps = []
    for key in services:
        service = Service(ops, key)
        service.require_ecs("begin that there")
        do = Anew(str(service.facts["cluster"]), service.name)
        title = f"Start the tasks of {key} anew, and wait until none of before is left"
        steps.append(Step(title, do, "tasks of before", "tasks that read what is there now", []))
    return steps
