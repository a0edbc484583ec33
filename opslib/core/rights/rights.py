"""Which IAM action an AWS call takes, and on what, by the table in rights.yaml beside this; and a
policy of what is needed, with a statement for all actions on the same things.

What is known of a call is its parameters that name something: `named` picks them, a record keeps
them, and `needs` makes ARNs of them.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from opslib.core.connections.identities import partition
from opslib.core.errors import OpsError
from opslib.core.tables import Json

Named: TypeAlias = Mapping[str, Sequence[str]]  # of a call, by the parameter
ANY = "*"
_FILE = Path(__file__).with_name("rights.yaml")
_PLACE = re.compile(r"\{([A-Za-z]\w+)(?:\.(\d))?([?*]?)\}")
_OF_THE_TARGET = ("partition", "region", "account")
_MOST = 20  # names of one parameter; of more it is any
# Where a name stands deeper: JMESPath.
_WITHIN = {
    "TableName": "RequestItems && keys(RequestItems)",
    "CopySource": "CopySource.Bucket",
    "AlarmNames": "MuteTargets.AlarmNames",
    "VersionId": "Delete.Objects[].VersionId",
}


class Need(NamedTuple):
    """An action and one resource: an ARN, a pattern of ARNs, or *."""

    action: str
    resource: str


def named(parameters: Json) -> dict[str, list[str]]:
    """Of a call's parameters those that name what it is about: no key, no value, no secret."""
    import jmespath

    found = {}
    for name in sorted(_known().keys() & (parameters.keys() | _WITHIN.keys())):
        value = parameters.get(name)
        deeper = _WITHIN.get(name, "")
        if re.split(r"\W", deeper)[0] in parameters and not isinstance(value, str):
            value = jmespath.search(deeper, parameters) or value
        texts = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str)]
        if texts:
            found[name] = [ANY] if _known()[name] or len(texts) > _MOST else texts
    return found


@cache
def _known() -> dict[str, bool]:
    """The parameters that the table names; and of each, whether only its being there counts."""
    kinds = defaultdict[str, set[str]](set)
    for name, _, kind in _PLACE.findall(_FILE.read_text(encoding="utf-8")):
        kinds[name].add(kind)
    return {name: of == {ANY} for name, of in kinds.items() if name not in _OF_THE_TARGET}


def needs(service: str, operation: str, named: Named, region: str, account: str) -> list[Need]:
    """What a call takes; nothing where everybody may make it. `operation`: by its API name.

    Raises OpsError: the table does not know it.
    """
    known = _table().get((service, operation))
    if known is None:
        raise OpsError(
            f"Which right {service} {operation} takes is not known here: add it to {_FILE.name} "
            "from AWS's Service Authorization Reference."
        )
    of_the_target = dict(zip(_OF_THE_TARGET, (partition(region), region, account), strict=True))
    return [
        Need(action, resource)
        for at, action in known
        for resource in _resources(at, {**named, **{k: [v] for k, v in of_the_target.items()}})
    ]


@cache
def _table() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """For each operation: where, as an ARN with places, and the action."""
    import yaml

    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for service, said in yaml.safe_load(_FILE.read_text(encoding="utf-8")).items():
        prefix = said.pop("prefix", service)
        for name in said.pop("none", ()):
            found[service, name] = []
        for at, operations in said.items():
            if at != ANY and not at.startswith(("arn:", "{")):
                at = f"arn:{{partition}}:{prefix}:{{region}}:{{account}}:{at}"
            for operation, action in _listed(operations):
                full = action if ":" in action else f"{prefix}:{action}"
                found.setdefault((service, operation), []).append((at, full))
    return found


def _listed(operations: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Each operation with each of its actions."""
    for each in operations:
        of = each if isinstance(each, dict) else {each: each}
        for operation, actions in of.items():
            for action in actions if isinstance(actions, list) else [actions]:
                yield operation, action


def _resources(at: str, named: Named) -> Iterator[str]:
    """The template with each value that its places have."""
    places = [place for place in _PLACE.finditer(at) if place[1] not in _OF_THE_TARGET]
    if any(place[3] and not named.get(place[1]) for place in places):
        return
    values = [named.get(place[1]) or [ANY] for place in places]
    for chosen in product(*values):
        if len(chosen) == 1 and chosen[0].startswith("arn:") and not places[0][2]:
            yield chosen[0]
            continue
        filled = at
        for place, value in zip(places, chosen, strict=True):
            filled = filled.replace(place[0], _said(place, value))
        yield _PLACE.sub(lambda place: named[place[1]][0], filled)


def _said(place: re.Match[str], value: str) -> str:
    if place[3] == ANY:
        return ANY
    if place[2]:
        parts = re.split("[:/]", value)
        return parts[int(place[2])] if len(parts) > int(place[2]) else ANY
    return value.rpartition("/")[2] if value.startswith(("arn:", "https://", "http://")) else value


MOST = 6144  # characters of a managed policy, blanks not counted
MOST_OF_A_SESSION = 2048
# Of these a call is one of no region, or of another than its ARN's.
_EVERYWHERE = ("iam:", "sts:", "s3:", "cloudfront:", "route53:")
Asked: TypeAlias = tuple[Need, str]  # and the region in which it was asked


def document(asked: Iterable[Asked]) -> Json:
    """A policy that IAM takes. What is on * holds in the regions alone in which it was asked."""
    things: dict[str, set[str]] = defaultdict(set)
    regions: dict[str, set[str]] = defaultdict(set)
    for (action, resource), region in asked:
        things[action].add(resource)
        if resource == ANY and not action.startswith(_EVERYWHERE):
            regions[action].add(region)
    together: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for action in sorted(things):
        of = things[action]  # without those that another's pattern has in it
        fewest = (each for each in of if not any(fnmatchcase(each, other) for other in of - {each}))
        together[tuple(sorted(fewest)), tuple(sorted(regions[action]))].append(action)
    statements = [_statement(actions, *on) for on, actions in sorted(together.items())]
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(actions: list[str], resources: tuple[str, ...], regions: tuple[str, ...]) -> Json:
    said: Json = {"Effect": "Allow", "Action": actions, "Resource": [*resources]}
    if regions:
        said["Condition"] = {"StringEquals": {"aws:RequestedRegion": [*regions]}}
    return said


def written(policy: Json) -> str:
    """As short as it can be: its length is what IAM counts."""
    return json.dumps(policy, separators=(",", ":"))
