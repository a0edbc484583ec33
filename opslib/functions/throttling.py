"""Concurrency of Lambda functions: what is reserved, what is left for the others, and what explains a throttle.

A reservation is both: so many are kept for the function, and it never runs more often at once. It is taken from the
account's pool, of which 100 must stay unreserved.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from opslib.core.checks.causes import THROTTLED
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.findings import Finding
from opslib.core.text import count, number
from opslib.core.times import Window

UNRESERVED = 100  # what must stay for functions without a reservation (AWS)
NONE = "none"


@dataclass(frozen=True)
class Use:
    """A function's concurrency over a window. `reserved`: None when there is no reservation (or it is not known)."""

    function: str
    reserved: int | None
    known: bool
    throttles: int
    invocations: int
    most_at_once: int
    since: str = ""  # when the first was throttled
    still: bool = False  # one of the last minutes was throttled, too
    denied: bool = False

    @property
    def reservation(self) -> str:
        return "?" if not self.known else NONE if self.reserved is None else str(self.reserved)


def account(ops: Connection) -> dict[str, int] | OpsError:
    """The account's limit of executions at once, and what of it no function has reserved (Lambda GetAccountSettings)."""
    try:
        found = ops.call("lambda", "get_account_settings")["AccountLimit"]
    except OpsError as exc:  # of use, but not what is asked
        return exc
    return {
        "limit": found["ConcurrentExecutions"],
        "unreserved": found["UnreservedConcurrentExecutions"],
    }


def account_note(found: dict[str, int] | OpsError) -> str:
    if isinstance(found, OpsError):
        return f"What the account allows could not be read: {found}"
    return (
        f"The account runs at most {found['limit']:,} at once; {found['unreserved']:,} of them are reserved for no function "
        f"and shared ({UNRESERVED} must stay so)."
    )


def judge(use: Use, account: dict[str, int] | OpsError, within: Window) -> Finding:
    """Whether invocations were turned away, and whether the function's own reservation explains it."""
    question, source = (
        f"throttles of {use.function}",
        "GetMetricData AWS/Lambda Throttles; lambda GetFunctionConcurrency",
    )
    found = partial(Finding, check=question, threshold="none", source=source)
    at_most = (
        f", at most {count(use.most_at_once, 'execution')} at once" if use.most_at_once else ""
    )
    seen = f"none in {number(within.minutes)} min{at_most}"
    if use.throttles:
        seen = f"{count(use.throttles, 'throttle')} beside {count(use.invocations, 'invocation')}, since {use.since}"
        seen += ", and still" if use.still else ", but not in the last 15 min"
    if not use.known:
        cause = "access-denied" if use.denied else ""
        return found(
            "unknown", seen=f"{seen}; what is reserved for it could not be read", cause=cause
        )
    if use.reserved == 0:
        seen += ": 0 are reserved for it, so it cannot run at all"
        return found("critical", seen=seen, cause=THROTTLED, next="functions/scale")
    if not use.throttles:
        return found("ok", seen=f"{seen}; {_kept(use)}")
    status = "critical" if use.still else "warn"
    if use.reserved is not None and use.most_at_once >= use.reserved:
        seen += f": at most {use.reserved} may run at once, by its own reservation, and {use.most_at_once} did"
        return found(status, seen=seen, cause=THROTTLED, next="functions/scale")
    seen += f"{at_most}; its own reservation ({use.reservation}) does not explain it: "
    pool = (
        "the account's limit"
        if isinstance(account, OpsError)
        else f"the {account['unreserved']:,} that all share"
    )
    seen += (
        f"the other functions took {pool}, or a burst asked for more than 1,000 new ones in 10 s"
    )
    return found(status, seen=seen, next="functions/scale")


def _kept(use: Use) -> str:
    return (
        "no reservation, it shares the rest"
        if use.reserved is None
        else f"{use.reserved} reserved, which is also its cap"
    )
