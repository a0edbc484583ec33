"""Lambda functions: configuration, versions, the alias that is live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check, unread
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Refused, unknown_name
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws, Read
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import functions, logs
from opslib.core.reads.functions import CONFIGURATIONS, live_version
from opslib.core.reads.versions import traffic
from opslib.core.tables import UTC_TIME, frame
from opslib.core.times import Window, window
from opslib.functions import configurations

if TYPE_CHECKING:
    import pandas as pd

VERSIONS = {
    "version": "str",
    "live": "bool",
    "published": UTC_TIME,
    "description": "str",
    "code_sha256": "str",
}
BAD_VERSION, DRIFT = "bad-version", "configuration-drift"  # the causes that findings name
_FACTOR, _MARGIN, _FEWEST = (
    2.0,
    1.0,
    5,
)  # worse: over twice the errors and one in 100 requests more, and at least five
_MOST_PER_100 = 5.0  # after a change
_ENOUGH = 5  # requests that say how a version does


def list_versions(ops: Connection, function: str) -> pd.DataFrame:
    """The published versions, newest first (Lambda ListVersionsByFunction). Columns: VERSIONS."""
    facts = ops.target["functions"][function]
    live = live_version(ops, function)
    found = ops.pages(
        "lambda", "list_versions_by_function", "Versions[]", FunctionName=facts["name"]
    )
    rows = [
        {
            "version": v["Version"],
            "live": v["Version"] == live,
            "published": v["LastModified"],
            "description": v.get("Description", ""),
            "code_sha256": v["CodeSha256"],
        }
        for v in found
        if v["Version"] != "$LATEST"
    ]
    return frame(sorted(rows, key=lambda row: -int(row["version"])), VERSIONS)


@check("Did the errors come with the version that is live?")
def check_versions(ops: Connection, function: str, hours: float = 24) -> Findings:
    """Errors of the live version against the one that served before it. Evidence: `_versions.TRAFFIC`.

    It names the version as the cause when the errors began with its first half hour: a version that was well at first
    fails because of something else.
    """
    live, within = live_version(ops, function), window(ops, 60 * hours)
    found = traffic(ops, function, live, within)
    question, source = (
        f"errors of {function} by version",
        "Logs Insights, REPORT and error lines by log stream",
    )
    rows = list(found.itertuples())
    if not rows or not rows[0].live:
        seen = f"no request of version {live} ended in {hours:g} h"
        return Findings(
            [Finding("unknown", question, seen, "some requests", source, next="logs/search")], found
        )
    now = rows[0]
    seen = f"version {live}: {now.errors_per_100:g} errors in 100 requests ({now.errors:,} of {now.requests:,})"
    if len(rows) == 1:
        status = "warn" if now.errors_per_100 > _MOST_PER_100 else "ok"
        seen += f"; it served alone for the last {hours:g} h, so no deployment brought them"
        follows = "health/deep" if status == "warn" else ""
        return Findings(
            [
                Finding(
                    status, question, seen, f"at most {_MOST_PER_100:g} in 100", source, "", follows
                )
            ],
            found,
        )
    return Findings([_compared(now, rows[1], question, seen, source)], found)


def _compared(now: Any, before: Any, question: str, seen: str, source: str) -> Finding:
    most = max(_FACTOR * before.errors_per_100, before.errors_per_100 + _MARGIN)
    rule = f"at most {most:g} in 100: version {before.version} had {before.errors_per_100:g}"
    seen += f", since {now.first:%m-%d %H:%M} UTC"
    if now.errors_per_100 <= most or now.errors < _FEWEST:
        return Finding("ok", question, seen, rule, source)
    if now.early_per_100 > most:
        return Finding(
            "critical",
            question,
            f"{seen}, from its first half hour on",
            rule,
            source,
            BAD_VERSION,
            "functions/rollback",
        )
    seen += f"; but only {now.early_per_100:g} in its first half hour: something else changed later"
    return Finding("warn", question, seen, rule, source, "", "health/deep")


@check("Does the alias point to a version that works?")
def check_alias(ops: Connection, function: str, watch_seconds: float = 0) -> Findings:
    """The version behind the alias, its state, and the requests that it serves from now on.

    Watches until it has seen five requests, at most for so many seconds.
    """
    alias, began = functions.find_alias(ops, function), ops.now()
    version = str(alias["FunctionVersion"]) if alias else functions.LATEST
    config = functions.read_configuration(ops, function, version)
    pinned, source = (
        _pinned(ops.target["functions"][function], alias),
        "lambda GetFunctionConfiguration",
    )
    state = ", ".join(functions.states(config))
    works = Finding(
        "ok" if state == "Active, Successful" else "critical",
        f"version {version}",
        state,
        "Active, Successful",
        source,
    )
    return Findings(
        [pinned, works, _watched(ops, function, version, Window(began, began), watch_seconds)]
    )


def _pinned(facts: Any, alias: dict[str, Any] | None) -> Finding:
    """Whether all calls get one version that stays as it is."""
    if alias is None:
        return Finding(
            "ok",
            facts["name"],
            "no alias: what calls it gets $LATEST",
            "as described",
            "the target's file",
        )
    version, weights = (
        alias["FunctionVersion"],
        (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"),
    )
    seen = f"version {version}" + (f", and {weights}" if weights else "")
    status = "warn" if weights or version == functions.LATEST else "ok"
    return Finding(
        status,
        f"{facts['name']}:{facts['alias']}",
        seen,
        "one published version",
        "lambda GetAlias",
    )


def _watched(
    ops: Connection, function: str, version: str, since: Window, seconds: float
) -> Finding:
    until, question = time.monotonic() + seconds, f"requests to version {version}"
    while True:
        within = Window(since.start, ops.now())
        served, failed = ops.gather(
            lambda: _lines_of(logs.search(ops, function, '"REPORT RequestId"', within), version),  # noqa: B023
            lambda: _lines_of(logs.search(ops, function, logs.error_pattern(ops), within), version),  # noqa: B023
        )
        if served >= _ENOUGH or time.monotonic() >= until:
            break
        time.sleep(2)
    seen = f"{served} since {since.start:%H:%M:%S} UTC, {failed} lines of trouble"
    rule = f"at most {_MOST_PER_100:g} in 100"
    if not served:
        return Finding(
            "unknown",
            question,
            f"{seen}: too early to say, look again",
            rule,
            "logs FilterLogEvents",
            "",
            "logs/search",
        )
    status = "ok" if 100 * failed / served <= _MOST_PER_100 else "critical"
    return Finding(
        status,
        question,
        seen,
        rule,
        "logs FilterLogEvents",
        "",
        "" if status == "ok" else "logs/search",
    )


def _lines_of(events: pd.DataFrame, version: str) -> int:
    return int(events["stream"].str.contains(f"[{version}]", regex=False).sum())


@check("Is the configuration as it should be?")
def check_configuration(ops: Connection, function: str = "") -> Findings:
    """One function, or all, against the target's reference table: timeout, memory, variables; both of the version that
    the alias serves and of $LATEST, which the next version is made of. Evidence: CONFIGURATIONS."""
    chosen = [function] if function else list(ops.target["functions"])
    answers = ops.gather(*(lambda name=name: _configuration(ops, name) for name in chosen))
    rows = [row for _, found in answers for row in found]
    return Findings(
        [finding for found, _ in answers for finding in found], frame(rows, CONFIGURATIONS)
    )


def _configuration(ops: Connection, function: str) -> tuple[list[Finding], list[dict[str, Any]]]:
    facts, check = ops.target["functions"][function], f"configuration of {function}"
    try:
        live = functions.live(ops, function)
        latest = functions.read_configuration(ops, function)
    except OpsError as exc:  # one function that cannot be read says nothing about the others
        return [unread(check, exc)], []
    both = ((facts.get("alias", functions.LATEST), live), (functions.LATEST, latest))
    rows = [configurations.row(function, of, facts, one) for of, one in dict(both).items()]
    reference = configurations.reference(facts)
    found = [_drifted(row, check, reference) for row in rows if row["drift"]]
    extra = configurations.undeclared(facts, live)
    if extra:
        seen = f"{', '.join(extra)} set on version {live['Version']}, not in the target's file: meant to stay?"
        found.append(
            Finding(
                "warn",
                check,
                seen,
                reference,
                "lambda GetFunctionConfiguration",
                "",
                "functions/environment",
            )
        )
    seen = f"version {live['Version']} and $LATEST as described"
    return found or [Finding("ok", check, seen, reference, "lambda GetFunctionConfiguration")], rows


def _drifted(row: dict[str, Any], check: str, reference: str) -> Finding:
    lost = (
        row["drift"].startswith("lacks") and ";" not in row["drift"]
    )  # a rollback brings back all of it
    live = row["version"] != "$LATEST"
    seen = (
        f"version {row['version']}, which is live, {row['drift']}"
        if live
        else f"$LATEST {row['drift']}: the next version will be so"
    )
    return Finding(
        "critical" if live else "warn",
        check,
        seen,
        reference,
        "lambda GetFunctionConfiguration",
        DRIFT,
        "functions/environment" if lost else "functions/rollback",
    )


@planner
def plan_rollback(ops: Connection, function: str, to: str = "") -> Planned:
    """Point the alias to an earlier version: the newest published before the live one, or `to`.

    Raises UsageError (no such version), Refused (no alias, no earlier version, or it cannot run).
    """
    facts, present = ops.target["functions"][function], functions.find_alias(ops, function)
    if present is None:
        raise Refused(
            f"{facts['name']} has no alias: what calls it gets $LATEST, and nothing can be pointed to an earlier version. "
            "Nothing was changed; deploy the earlier code again."
        )
    name, alias = facts["name"], facts["alias"]
    live, versions = present["FunctionVersion"], list_versions(ops, function)
    weights = (present.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    earlier = [v for v in versions["version"] if live == "$LATEST" or int(v) < int(live)]
    if to and to not in set(versions["version"]):
        raise unknown_name("version", to, versions["version"], f" of {name}")
    if not to and not earlier:
        raise Refused(f"{name} has no version before {live}, which is live. Nothing was changed.")
    wanted = to or earlier[0]
    if wanted == live and not weights:
        return Planned(
            f"{name} stays at version {live}",
            [],
            [f"Alias {alias} points to version {live} already."],
        )
    state = functions.read_configuration(ops, function, wanted).get("State", "Active")
    if state == "Failed":
        raise Refused(
            f"Version {wanted} of {name} is {state} and cannot run. Nothing was changed; choose another: to=…"
        )
    notes = (
        [f"Version {wanted} is Inactive: its first request fails while Lambda wakes it."]
        if state == "Inactive"
        else []
    )
    step = _alias_step(ops, function, present, wanted, weights)
    return Planned(f"roll {name} back to version {wanted}", [step], notes)


def _alias_step(
    ops: Connection, function: str, present: dict[str, Any], wanted: str, weights: dict[str, float]
) -> Step:
    """Also takes away weights: without that, an alias that splits its traffic would go on to do so."""
    facts, live = ops.target["functions"][function], present["FunctionVersion"]
    move = {"FunctionName": facts["name"], "Name": facts["alias"]}
    whole: dict[str, Any] = {"RoutingConfig": {"AdditionalVersionWeights": {}}} if weights else {}
    split = {"RoutingConfig": {"AdditionalVersionWeights": weights}} if weights else {}
    return Step(
        title=f"Alias {facts['alias']} of {facts['name']}: version {live} to {wanted}"
        + (", all of it" if weights else ""),
        do=Aws(
            "lambda",
            "update_alias",
            **move,
            FunctionVersion=wanted,
            RevisionId=present["RevisionId"],
            **whole,
        ),
        before=live,
        after=wanted,
        undo=[Aws("lambda", "update_alias", **move, FunctionVersion=live, **split)],
        observe=Read("lambda", "get_alias", "FunctionVersion", **move),
    )
