"""An IAM policy of what is needed: a statement for all actions on the same things."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TypeAlias

from opslib.core.rights.rights import ANY, Need
from opslib.core.tables import Json

MOST = 6144  # characters of a managed policy, blanks not counted
MOST_OF_A_SESSION = 2048
# Of these a call is one of no region, or of another than its ARN's.
_EVERYWHERE = ("iam:", "sts:", "s3:", "cloudfront:")
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
