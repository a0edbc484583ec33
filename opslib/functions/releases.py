"""Releasing a function's configuration.

Changed in $LATEST, published as a version, and the alias moved to that one. Only $LATEST can be
changed, and what calls an alias goes on without it. A function without an alias runs $LATEST.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from opslib.core import Action, Aws, Json, Read, Refused, Step, Wait, result
from opslib.core.reads.functions import Function
from opslib.functions import configurations

GET, UPDATE = "get_function_configuration", "update_function_configuration"


def weights(alias: Json) -> dict[str, float]:
    """Which other versions an alias sends a part of its traffic to."""
    return (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}


@dataclass(frozen=True)
class Release:
    """A function's configuration that runs (`live`), and that of $LATEST.

    `name`: what AWS calls it.
    """

    name: str
    alias: Json | None
    live: Json
    latest: Json

    @classmethod
    def begin(cls, function: Function) -> Release:
        """Raises Refused when publishing $LATEST would release other code, or while one goes on."""
        alias, latest = function.alias(), function.configuration()
        live = function.configuration(alias["FunctionVersion"]) if alias else latest
        if alias and weights(alias):
            raise Refused(
                f"Alias {alias['Name']} of {function.name} splits its traffic between versions: "
                "a deployment is going on. Nothing was changed; finish it, or functions/rollback."
            )
        if live["CodeSha256"] != latest["CodeSha256"]:
            raise Refused(
                f"$LATEST of {function.name} holds other code than version {live['Version']}, "
                "which is live: publishing it would release that code. Nothing was changed; deploy "
                "the change with the code, or put the live code back into $LATEST."
            )
        return cls(function.name, alias, live, latest)

    def call(self, operation: str, **parameters: Any) -> Aws:
        """A call that names the function."""
        return Aws("lambda", operation, FunctionName=self.name, **parameters)

    def read(self, path: str, **parameters: Any) -> Read:
        """Reads what GetFunctionConfiguration says at a path."""
        return Read("lambda", GET, path, FunctionName=self.name, **parameters)

    def change(
        self, title: str, do: Action, undo: Action, before: Any, after: Any, path: str
    ) -> list[Step]:
        """$LATEST changed.

        `path`: where GetFunctionConfiguration says what was changed (JMESPath).
        """
        until = ["InProgress"], ["Successful"], 300
        settled = Wait("lambda", GET, "LastUpdateStatus", *until, FunctionName=self.name)
        return [
            Step(title, do, before, after, [undo, settled], self.read(path)),
            Step("Wait until Lambda has taken it over", settled, undo=[]),
        ]

    def publish(self, names: Collection[str], before: Any, after: Any, path: str) -> list[Step]:
        """$LATEST published and the alias moved there; nothing where there is no alias.

        `names`: the variables or settings that are changed, `before` in the live version.
        """
        if not self.alias:
            return []
        number, alias = self.live["Version"], self.alias["Name"]
        also = "; ".join(configurations.differences(self.live, self.latest, besides=names))
        move = partial(self.call, "update_alias", Name=alias)
        return [
            Step(
                f"Publish $LATEST of {self.name}: the code of version {number}",
                self.call(
                    "publish_version",
                    CodeSha256=self.latest["CodeSha256"],
                    Description=self.live.get("Description", ""),
                ),
                f"version {number}",
                f"as version {number}, but for {', '.join(names)}"
                + (f"; AND ALSO CHANGED IN $LATEST: {also}" if also else ""),
                undo=[],
                name="published",
            ),
            Step(
                f"Alias {alias} of {self.name}: from version {number} to that one",
                move(
                    FunctionVersion=result("published.Version"),
                    RevisionId=self.alias["RevisionId"],
                ),
                before,
                after,
                undo=[move(FunctionVersion=number)],
                observe=self.read(path, Qualifier=alias),
            ),
        ]
