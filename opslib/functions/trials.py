"""An alias that splits its traffic: which share each version gets, how it does, who gets it all.

A version that is tried is judged by its own errors, beside those of the alias's own.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Function,
    Json,
    OpsError,
    Question,
    Refused,
    answer,
    check,
    count,
    functions,
    tried,
    unread,
    window,
)
from opslib.core.reads.versions import most_errors, traffic
from opslib.functions.configurations import shares, told_shares, weights

BAD_VERSION = "bad-version"  # the cause that findings name
FEWEST = 5  # errors that say something of a version
MOST_PER_100 = 5.0  # after a change
_TRIAL = timedelta(days=1)  # by then somebody has decided
_DOCS = "https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html"


@check("Does an alias split its traffic?")
def check_shares(ops: Connection, hours: float = 24) -> Findings:
    """Each alias that sends a share of its traffic to another version, and how that one does.

    A trial of a newer version is well while its errors are no more; a share for an older version,
    or a trial that is older than a day, is one that nobody ended.
    """
    named = [name for name, facts in ops.target["functions"].items() if "alias" in facts]
    aliases = ops.each(lambda name: tried(partial(_alias, ops, name), f"alias of {name}"), named)
    found: list[Finding] = []
    for name, alias in aliases.items():
        asked = Question(f"shares of {name}", "one version, or a newer one on trial", _DOCS)
        if isinstance(alias, OpsError):
            found.append(unread(asked, alias))
        elif weights(alias):
            found.append(answer(asked, _split, ops, asked, name, alias))
            found += _trial(ops, asked, name, alias, hours)
    whole = len(named) - len(found)
    if whole or not found:
        told = Question("shares of the aliases", "one version each", _DOCS)
        found.append(told.ok(f"{count(whole, 'function')}, each one version"))
    return Findings(found)


def _alias(ops: Connection, name: str) -> Json:
    alias = Function(ops, name).alias() or {}
    return alias if alias["FunctionVersion"] else {}


def _split(ops: Connection, asked: Question, name: str, alias: Json) -> Finding:
    """Whether the split is a trial under way, or one that was left."""
    own, seen = alias["FunctionVersion"], f"the alias sends {told_shares(alias)}"
    older = [version for version in weights(alias) if _number(version) < _number(own)]
    if older:
        seen += f"; version {older[0]} is older than {own}, its own: a trial is of a newer one"
        return asked.warn(seen, next="functions/rollback")
    newest = max(weights(alias), key=_number)
    made = functions.modified(Function(ops, name).configuration(newest))
    well = ops.now() - made < _TRIAL
    seen += f"; version {newest} is of {made:%Y-%m-%d %H:%M}"
    seen += "" if well else ": a trial that nobody ended?"
    return asked.judged(well, seen, otherwise="warn", next="functions/rollback")


def _trial(
    ops: Connection, asked: Question, name: str, alias: Json, hours: float
) -> Iterator[Finding]:
    asked = replace(asked, words=f"trial of {name}")
    try:
        found = traffic(ops, name, alias["FunctionVersion"], window(ops, 60 * hours))
        yield from judge_trial(asked, alias, found)
    except OpsError as exc:
        yield unread(asked, exc)


def _number(version: str) -> float:
    """$LATEST is the newest."""
    return float(version) if version.isdigit() else float("inf")


def judge_trial(asked: Question, alias: Json, found: Frame) -> Iterator[Finding]:
    """While the alias splits its traffic: each version that is tried against the alias's own."""
    rows = {row.version: row for row in found.itertuples()}
    own = rows.get(alias["FunctionVersion"])
    for version in weights(alias):
        row, seen = rows.get(version), f"the alias sends {told_shares(alias)}"
        most = most_errors(own) if own else MOST_PER_100
        asked = replace(asked, rule=f"at most {most:g} in 100 of version {version}")
        if row is None:
            seen += f"; no request of version {version} ended yet"
            yield asked.unknown(seen, next="logs/search")
            continue
        seen += f"; version {version}: {row.errors_per_100:g} errors in 100 requests "
        seen += f"({row.errors:,} of {row.requests:,})"
        if own:
            seen += f", version {own.version}: {own.errors_per_100:g}"
        bad = row.errors_per_100 > most and row.errors >= FEWEST
        if own and _fails(own) and own.errors_per_100 > most_errors(row):
            bad, seen = True, f"{seen}: the alias's own is the one that fails"
        if bad:
            follows = "functions/rollback"
            yield asked.critical(seen, cause=BAD_VERSION, next=follows)
        else:
            status, follows = ("warn", "logs/errors") if _fails(row) else ("ok", "")
            cause = "" if _fails(row) else BAD_VERSION
            yield asked.answer(status, seen, cause=cause, next=follows)


def _fails(row: Any) -> bool:
    return bool(row.errors_per_100 > MOST_PER_100 and row.errors >= FEWEST)


def choose(ops: Connection, function: str, alias: Json, to: str) -> str:
    """Which version of an alias that splits its traffic is to get all of it.

    `to`, else its own, unless that one fails and another one does not. Raises Refused when `to` is
    on trial and the alias's own is well, and when every version fails.
    """
    own, split = alias["FunctionVersion"], weights(alias)
    if to and to not in split:
        return to
    found = traffic(ops, function, own, window(ops, 24 * 60))
    failing = {row.version for row in found.itertuples() if _fails(row)}
    well = [row.version for row in found.itertuples() if row.version in split]
    well = [version for version in well if version not in failing]
    if own in failing:
        if to in well or (not to and well):
            return to or max(well, key=shares(alias).__getitem__)
        raise Refused(
            f"{alias['Name']} of {function} sends {told_shares(alias)}, and version {own} fails as "
            "well as what it is split with, or nothing is known of that. Nothing was changed; "
            "choose a version that served before: to=…"
        )
    if to:
        raise Refused(
            f"{function}:{alias['Name']} sends {told_shares(alias)}: a rollback does not give "
            f"all of it to version {to}, which is being tried. Nothing was changed. First end the "
            f"trial (this procedure without `to` sends all to version {own}), then choose again."
        )
    return str(own)


_EXPECTED = 5  # requests that should have come


def judge_untried(
    ops: Connection, asked: Question, function: str, found: Frame, hours: float
) -> Finding:
    """No request of the live version ended in so many hours.

    That is *unknown*, and no news of a function that so seldom runs: by the requests of the others
    (rows of `versions.TRAFFIC`) and the time since it was published.
    """
    live = Function(ops, function).live()
    waited = min(ops.now() - functions.modified(live), timedelta(hours=hours))
    others, of = int(found["requests"].sum()), f"version {live['Version']}"
    usual = others * (waited / timedelta(hours=hours))
    seen = f"no request of {of} ended in {hours:g} h"
    if usual < _EXPECTED:
        seen += f", nor was one to be expected: others had {others}"
        return asked.ok(seen, rule="some requests, where there were some before")
    return asked.unknown(seen, rule="some requests", next="logs/search")
