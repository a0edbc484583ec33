"""Would another task of a service start? What ECS reads before the app begins is looked for.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain

from opslib.core import Connection, Finding, Findings, Json, Question, Refused, answer, check
from opslib.services.consumers import taken
from opslib.services.reading import Service, each_service, lacks_image

_UNSET = re.compile(r"(?i)\s*|change.?me|to.?do|replace.?me|placeholder|dummy|x{3,}|none|null|<.*>")


@check("Would another task start?")
def check_startable(ops: Connection, service: str = "") -> Findings:
    """The image and the secrets of each service's task definition, with the keys it asks for.

    What runs goes on without them, until a task is replaced: scaled out, deployed, moved by AWS.
    """
    return Findings(
        chain(*each_service(ops, service, lambda of: [*_judged(of)], "next task of {}"))
    )


def require_startable(ops: Connection, services: Sequence[str]) -> None:
    """Raises Refused: who is started anew would not come up again, or nobody knows."""
    for found in chain(*(_judged(Service(ops, key)) for key in services)):
        if found.status != "ok":
            raise Refused(f"{found.check} {found.seen}. Nothing was changed: mend that first.")


def _judged(service: Service) -> Iterator[Finding]:
    words = f"next task of {service.key}"
    definition, well = service.definition(), True
    looks = [
        partial(_image, service, words, each) for each in definition["containerDefinitions"]
    ] + [
        partial(_secret, service, words, name, of, key)
        for name, of, (key, *rest) in (each for each in taken(definition) if each[2])
        if ":secretsmanager:" in of and not any(rest)
    ]
    for look in looks:
        if (found := answer(words, look)).status != "ok":
            well = False
            yield found
    if well:
        yield _asked(words).answer("ok", "all is there", cause="secret-missing")


def _asked(words: str) -> Question:
    return Question(words, "what it reads is there", "ecr DescribeImages, GetSecretValue")


def _image(service: Service, words: str, container: Json) -> Finding:
    if not (why := lacks_image(service.ops, container["image"])):
        return _asked(words).answer("ok", "there")
    seen = f"would not start: the image of {container['name']} is gone. {why}"
    return _asked(words).answer(
        "critical", seen, cause="image-not-pulled", next="services/rollback"
    )


def _secret(service: Service, words: str, name: str, of: str, key: str) -> Finding:
    """No value is told."""
    held, secret = service.ops.secret(of), of.rpartition(":")[2]
    value = (held.get(key) if isinstance(held, dict) else None) if key else held
    if value is None:
        seen = f"would not start: secret {secret} has no key {key}, and {name} is made of it"
    elif isinstance(value, str) and _UNSET.fullmatch(value):
        seen = f"would have no {name}: secret {secret} holds nothing there, or a stand-in"
    else:
        return _asked(words).answer("ok", "there")
    return _asked(words).answer("critical", seen, cause="secret-missing", next="secrets/rotate")
