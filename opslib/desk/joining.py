"""A kernel that somebody works in is joined to what he may press."""

from typing import Any

from opslib.core import Connection, Findings, waiting
from opslib.core.plans.verdicts import Verdict
from opslib.desk import answers, approving, commands, following, watching

_PACE = 0.5  # seconds


def join(shell: Any, ops: Connection, kept: bool) -> None:
    """`decide` asks, lines are followed in a box, and below an answer stands what can be done.

    `kept`: this kernel is for a sitting.
    """
    if not kept:
        line = commands.command("open", ops.target.name) or "opslib open NAME -t TARGET"
        print(
            "Nothing that is looked at here is kept: this notebook is no sitting, as those in "
            f"records/sittings are. Only a change that is applied is. Work in a sitting: {line}"
        )
    ops.asks = approving.ask
    ops.keep(waiting.Onlooker(watching.watch))
    waiting.pace = _PACE
    below = answers.Below(shell)
    below.ops = ops
    bundles = shell.display_formatter.mimebundle_formatter

    def shown(verdict: Verdict, **_: Any) -> Any:
        def offer() -> None:
            shell.events.unregister("post_execute", offer)
            following.offer(ops, verdict)

        shell.events.register("post_execute", offer)
        return verdict._repr_mimebundle_()

    bundles.for_type(Verdict, shown)
    bundles.for_type(Findings, below.shows)
    bundles.for_type_by_name("pandas", "DataFrame", below.shows)
