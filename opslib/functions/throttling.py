"""Concurrency of Lambda functions.

What is reserved, what is left for the others, and what explains a throttle. A reservation is both:
so many are kept for the function, and it never runs more often at once. It is taken from the
account's pool, of which 100 must stay unreserved.
"""

from __future__ import annotations

from dataclasses import dataclass

from opslib.core import Connection, Finding, OpsError, Question, Window, count, number
from opslib.core.checks.causes import DENIED, THROTTLED

UNRESERVED = 100  # what must stay for functions without a reservation (AWS)
NONE = "none"


@dataclass(frozen=True)
class Use:
    """A function's invocations and concurrency over a window.

    `reserved`: None when there is no reservation (or it is not known).
    """

    function: str
    reserved: int | None
    known: bool
    throttles: int
    invocations: int
    most_at_once: int
    since: str = ""  # when the first was throttled
    still: bool = False  # one of the last minutes was throttled, too
    denied: bool = False
    errors: int = 0
    p95_ms: float | None = None

    @property
    def reservation(self) -> str:
        return "?" if not self.known else NONE if self.reserved is None else str(self.reserved)


def account(ops: Connection) -> dict[str, int] | OpsError:
    """The account's limit of executions at once, and what of it no function has reserved.

    Lambda GetAccountSettings; of use, but not what is asked: what could not be read is the error
    itself.
    """
    try:
        found = ops.call("lambda", "get_account_settings")["AccountLimit"]
    except OpsError as exc:
        return exc
    return {
        "limit": found["ConcurrentExecutions"],
        "unreserved": found["UnreservedConcurrentExecutions"],
    }


def account_note(found: dict[str, int] | OpsError) -> str:
    if isinstance(found, OpsError):
        return f"What the account allows could not be read: {found}"
    return (
        f"The account runs at most {found['limit']:,} at once; {found['unreserved']:,} of them are "
        f"reserved for no function and shared ({UNRESERVED} must stay so)."
    )


def judge(use: Use, account: dict[str, int] | OpsError, within: Window) -> Finding:
    """Whether invocations were turned away, and whether the function's reservation explains it."""
    asked = Question(
        f"throttles of {use.function}",
        "none",
        "GetMetricData AWS/Lambda Throttles; lambda GetFunctionConcurrency",
    )
    follows, most = "functions/scale", use.most_at_once
    at_most = f", at most {count(most, 'execution')} at once" if most else ""
    seen = f"none in {number(within.minutes)} min{at_most}"
    if use.throttles:
        seen = f"{count(use.throttles, 'throttle')} beside {count(use.invocations, 'invocation')}, "
        seen += f"since {use.since}, {'and still' if use.still else 'but not in the last 15 min'}"
    if not use.known:
        seen += "; what is reserved for it could not be read"
        return asked.answer("unknown", seen, cause=DENIED if use.denied else "")
    if use.reserved == 0:
        seen += ": 0 are reserved for it, so it cannot run at all"
        return asked.answer("critical", seen, cause=THROTTLED, next=follows)
    if not use.throttles:
        return asked.answer("ok", f"{seen}; {_kept(use)}")
    status = "critical" if use.still else "warn"
    if use.reserved is not None and most >= use.reserved:
        seen += f": at most {use.reserved} may run at once, by its own reservation, and {most} did"
        return asked.answer(status, seen, cause=THROTTLED, next=follows)
    pool = "the account's limit"
    if not isinstance(account, OpsError):
        pool = f"the {account['unreserved']:,} that all share"
    seen += (
        f"{at_most}; its own reservation ({use.reservation}) does not explain it: the other "
        f"functions took {pool}, or a burst asked for more than 1,000 new ones in 10 s"
    )
    return asked.answer(status, seen, next=follows)


def _kept(use: Use) -> str:
    return (
        "no reservation, it shares the rest"
        if use.reserved is None
        else f"{use.reserved} reserved, which is also its cap"
    )
