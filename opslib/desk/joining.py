"""A kernel that somebody works in is joined to what he may press."""

from __future__ import annotations

from typing import Any

from opslib.core import Connection
from opslib.core.plans.verdicts import Verdict
from opslib.desk import approving, following


def join(shell: Any, ops: Connection) -> None:
    """`decide` asks, and below a verdict stands what follows."""
    ops.asks = approving.ask

    def shown(verdict: Verdict, **_: Any) -> Any:
        def below() -> None:
            shell.events.unregister("post_execute", below)
            following.offer(verdict)

        shell.events.register("post_execute", below)
        return verdict._repr_mimebundle_()

    shell.display_formatter.mimebundle_formatter.for_type(Verdict, shown)
