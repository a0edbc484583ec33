"""A secret's versions by their stages: may it get another one, and the steps that give it that.

In the order of AWS's own rotation: the new version is pending first, so a killed run loses nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jmespath

from opslib.core.actions.actions import Action, Aws, Read
from opslib.core.actions.logins import CURRENT, PENDING
from opslib.core.actions.results import result
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused
from opslib.core.plans.plans import Step
from opslib.core.strict_yaml import beside

MANAGER, PREVIOUS = "secretsmanager", "AWSPREVIOUS"


@dataclass(frozen=True)
class Versions:
    """Of a secret that nobody else changes: ids of its present version, and of the one before."""

    name: str
    arn: str
    current: str
    previous: str

    def pending(self, title: str, do: Action) -> Step:
        """A new version beside the present one, which its answer names; nobody reads it yet."""
        undo = Aws(
            MANAGER,
            "update_secret_version_stage",
            SecretId=self.name,
            VersionStage=PENDING,
            RemoveFromVersionId=result("new.VersionId"),
        )
        return Step(title, do, undo=[undo], name="new")

    def told(self, title: str, afterwards: Sequence[Action] = ()) -> Step:
        """The pending version is the present one. `afterwards`: what an undo has to do besides."""
        moved = partial(Aws, MANAGER, "update_secret_version_stage", SecretId=self.name)
        new = result("new.VersionId")
        to_it = {"RemoveFromVersionId": self.current, "MoveToVersionId": new}
        back = {"RemoveFromVersionId": new, "MoveToVersionId": self.current}
        before = {"MoveToVersionId": self.previous} if self.previous else {}
        stages = f'VersionIdsToStages."{self.current}"'
        return Step(
            title,
            moved(VersionStage=CURRENT, **to_it),
            [CURRENT],
            [PREVIOUS],
            [
                moved(VersionStage=CURRENT, **back),
                moved(VersionStage=PREVIOUS, RemoveFromVersionId=new, **before),
                *afterwards,
            ],
            Read(MANAGER, "describe_secret", stages, SecretId=self.name),
        )


def versions(ops: Connection, name: str) -> Versions:
    """Raises Refused: somebody else changes it, a change is under way, or it is to be deleted."""
    told = ops.call(MANAGER, "describe_secret", SecretId=name)
    found = {
        stage: id for id, each in (told.get("VersionIdsToStages") or {}).items() for stage in each
    }
    current, pending = (found.get(stage, "") for stage in (CURRENT, PENDING))
    about = {**told, "region": ops.target.region, "current": current, "pending": pending}
    for why in beside(__file__, "stages"):
        if jmespath.search(why["when"], about):
            raise Refused(f"Secret {name!r} {why['says'].format_map(about)}. Nothing was changed.")
    return Versions(name, told.get("ARN", ""), current, found.get(PREVIOUS, ""))
