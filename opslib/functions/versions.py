"""Lambda functions: configuration, versions, the alias that is live."""

from dataclasses import replace
from typing import Any

from opslib.core import (
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    OpsError,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    Window,
    check,
    dtypes,
    frame,
    logs,
    planner,
    poll,
    require_known,
    unread,
    window,
)
from opslib.core.reads.functions import (
    LATEST,
    WELL,
    Function,
    live_version,
    states,
)
from opslib.core.reads.versions import live_and_before, most_errors
from opslib.functions import configurations
from opslib.functions.configurations import CONFIGURATIONS, told_shares, weights
from opslib.functions.trials import (
    BAD_VERSION,
    FEWEST,
    MOST_PER_100,
    choose,
    judge_trial,
    judge_untried,
)

VERSIONS = dtypes("""
    version     str
    live        bool
    published   utc
    description str
    code_sha256 str
""")
DRIFT = "configuration-drift"  # the cause that findings name
_RULE = f"at most {MOST_PER_100:g} in 100"
_ENOUGH = 5  # requests that say how a version does
_GET = "lambda GetFunctionConfiguration"


def list_versions(ops: Connection, function: str) -> Frame:
    """The published versions, newest first (Lambda ListVersionsByFunction). Columns: VERSIONS."""
    live = live_version(ops, function)
    found = ops.pages(
        "lambda",
        "list_versions_by_function",
        "Versions[].{version: Version, published: LastModified, "
        "description: Description || '', code_sha256: CodeSha256}",
        FunctionName=Function(ops, function).name,
    )
    rows = [v | {"live": v["version"] == live} for v in found if v["version"] != LATEST]
    return frame(sorted(rows, key=lambda row: -int(row["version"])), VERSIONS)


@check("Did the errors come with the version that is live?")
def check_versions(ops: Connection, function: str, hours: float = 24) -> Findings:
    """Errors of the live version against the one that served before it.

    Evidence: `versions.TRAFFIC`. It names the version as the cause when the errors began with its
    first half hour: a version that was well at first fails because of something else.
    """
    found, now, before = live_and_before(ops, function, window(ops, 60 * hours))
    source = "Logs Insights, REPORT and error lines by log stream"
    asked = Question(f"errors of {function} by version", _RULE, source)
    alias = Function(ops, function).alias()
    if alias and weights(alias):
        return Findings(judge_trial(asked, alias, found), found)
    if now is None:
        return Findings(judge_untried(ops, asked, function, found, hours), found)
    seen = f"version {now.version}: {now.errors_per_100:g} errors in 100 requests "
    seen += f"({now.errors:,} of {now.requests:,})"
    if before is not None:
        return Findings(_compared(asked, now, before, seen), found)
    seen += f"; it served alone for the last {hours:g} h, so no deployment brought them"
    well = now.errors_per_100 <= MOST_PER_100
    return Findings(asked.judged(well, seen, otherwise="warn", next="health/deep"), found)


def _compared(asked: Question, now: Any, before: Any, seen: str) -> Finding:
    most = most_errors(before)
    rule = f"at most {most:g} in 100: version {before.version} had {before.errors_per_100:g}"
    asked = replace(asked, rule=rule)
    seen += f", since {now.first:%m-%d %H:%M} UTC"
    if now.errors_per_100 <= most or now.errors < FEWEST:
        return asked.ok(seen, cause=BAD_VERSION)
    if now.early_per_100 > most:
        seen += ", from its first half hour on"
        return asked.critical(seen, cause=BAD_VERSION, next="functions/rollback")
    seen += f"; but only {now.early_per_100:g} in its first half hour: something else changed later"
    return asked.warn(seen, next="health/deep")


@check("Does the alias point to a version that works?")
def check_alias(ops: Connection, function: str, watch_seconds: float = 0) -> Findings:
    """The version behind the alias, its state, and the requests that it serves from now on.

    Watches until it has seen five requests, at most for so many seconds.
    """
    known = Function(ops, function)
    live = known.live()
    version, state = live["Version"], states(live)
    works = Question(f"version {version}", ", ".join(WELL), _GET)
    found = works.judged(state == WELL, ", ".join(state))
    served = _watched(known, version, watch_seconds)
    return Findings([_pinned(known.facts, known.alias()), found, served])


def _pinned(facts: Any, alias: Json | None) -> Finding:
    """Whether all calls get one version that stays as it is."""
    if alias is None:
        asked = Question(facts["name"], "as described", "the target's file")
        return asked.ok("no alias: what calls it gets $LATEST")
    version = alias["FunctionVersion"]
    name = f"{facts['name']}:{facts['alias']}"
    asked = Question(name, "one published version", "lambda GetAlias")
    if weights(alias):
        seen = f"it splits its traffic: {told_shares(alias)}"
        return asked.critical(seen, next="functions/rollback")
    return asked.judged(version != LATEST, f"version {version}", otherwise="warn")


def _watched(function: Function, version: str, seconds: float) -> Finding:
    """The requests that a version serves from now on, and how many of them fail."""
    ops, began = function.ops, function.ops.now()

    def look() -> list[int]:
        within = Window(began, ops.now())
        found = ops.each(
            lambda pattern: logs.search(ops, function.key, pattern, within)["stream"],
            ('"REPORT RequestId"', logs.error_pattern(ops)),
        )
        return [int(of.str.contains(f"[{version}]", regex=False).sum()) for of in found.values()]

    (served, failed), _ = poll(look, lambda counts: counts[0] >= _ENOUGH, seconds)
    asked = Question(f"requests to version {version}", _RULE, "logs FilterLogEvents")
    seen = f"{served} since {began:%H:%M:%S} UTC, {failed} lines of trouble"
    if not served:
        seen += ": too early to say, look again"
        return asked.unknown(seen, next="logs/search")
    return asked.judged(100 * failed / served <= MOST_PER_100, seen, next="logs/search")


@check("Is the configuration as it should be?")
def check_configuration(ops: Connection, function: str = "") -> Findings:
    """One function, or all, against the target's reference table: timeout, memory, variables.

    Both of the version that the alias serves and of $LATEST, which the next version is made of.
    Evidence: CONFIGURATIONS.
    """
    answers = Function.each(ops, function, _configuration, "configuration of {}")
    rows = [row for _, found in answers for row in found]
    return Findings((each for found, _ in answers for each in found), frame(rows, CONFIGURATIONS))


def _configuration(function: Function) -> tuple[list[Finding], list[Json]]:
    facts = function.facts
    asked = Question(f"configuration of {function.key}", configurations.reference(facts), _GET)
    try:
        live, latest = function.live(), function.configuration()
    except OpsError as exc:  # one function that cannot be read says nothing about the others
        return [unread(asked, exc)], []
    both = {facts.get("alias", LATEST): live, LATEST: latest}
    rows = [configurations.row(function.key, of, facts, one) for of, one in both.items()]
    # What both have is one change, told of what is live.
    drifts = {row["drift"]: row for row in reversed(rows) if row["drift"]}
    found = [_drifted(asked, row) for row in reversed(drifts.values())]
    number = live["Version"]
    if extra := ", ".join(configurations.undeclared(facts, live)):
        seen = f"{extra} set on version {number}, not in the target's file: meant to stay?"
        found.append(asked.warn(seen, next="functions/environment"))
    well = asked.ok(f"version {number} and $LATEST as described", cause=DRIFT)
    return found or [well], rows


def _drifted(asked: Question, row: Json) -> Finding:
    drift, version = row["drift"], row["version"]
    lost = drift.startswith("lacks") and ";" not in drift  # a rollback brings back all of it
    follows = "functions/environment" if lost else "functions/rollback"
    status, seen = "critical", f"version {version}, which is live, {drift}"
    if version == LATEST:
        status, seen = "warn", f"$LATEST {drift}: the next version will be so"
    return asked.answer(status, seen, cause=DRIFT, next=follows)


@planner
def plan_rollback(ops: Connection, function: str, to: str = "") -> Planned:
    """Point the alias to an earlier version: the newest published before the live one, or `to`.

    While the alias splits its traffic: all to its own version, or to another one when that fails.
    Raises UsageError (no such version), Refused (no alias, no earlier version, one that is being
    tried while the alias's own is well, or one that cannot run).
    """
    known = Function(ops, function)
    name, present = known.name, known.alias()
    if present is None:
        raise Refused(
            f"{name} has no alias: what calls it gets $LATEST, and nothing can be pointed to an "
            "earlier version. Nothing was changed; deploy the earlier code again."
        )
    live, numbers = present["FunctionVersion"], list(list_versions(ops, function)["version"])
    earlier = [v for v in numbers if live == LATEST or int(v) < int(live)]
    if to:
        require_known("version", to, numbers, f" of {name}")
    split = weights(present)
    if not (to or split or earlier):
        raise Refused(f"{name} has no version before {live}, which is live. Nothing was changed.")
    wanted = choose(ops, function, present, to) if split else to or earlier[0]
    if wanted == live and not split:
        note = f"Alias {known.facts['alias']} points to version {live} already."
        return Planned(f"{name} stays at version {live}", notes=[note])
    state, _ = states(known.configuration(wanted))
    if state == "Failed":
        raise Refused(
            f"Version {wanted} of {name} is {state} and cannot run. "
            "Nothing was changed; choose another: to=…"
        )
    asleep = f"Version {wanted} is Inactive: its first request fails while Lambda wakes it."
    return Planned(
        f"roll {name} back to version {wanted}",
        [_alias_step(known, present, wanted)],
        [asleep] if state == "Inactive" else [],
    )


def _alias_step(function: Function, present: Json, wanted: str) -> Step:
    """Also takes away weights.

    Without that, an alias that splits its traffic would go on to do so.
    """
    name, alias, live = function.name, function.facts["alias"], present["FunctionVersion"]
    split, path = weights(present), "FunctionVersion"
    was: Any = live
    becomes: Any = wanted
    title = f"Alias {alias} of {name}: version {live} to {wanted}"
    if split:
        title = f"Alias {alias} of {name}: {told_shares(present)}, becomes all to version {wanted}"
        path = "{version: FunctionVersion, others: RoutingConfig.AdditionalVersionWeights || `{}`}"
        was, becomes = {"version": live, "others": split}, {"version": wanted, "others": {}}

    def move(version: str, weights: dict[str, float], **guard: str) -> Action:
        routing = {"RoutingConfig": {"AdditionalVersionWeights": weights}} if split else {}
        return Aws("lambda", "update_alias", **at, FunctionVersion=version, **routing, **guard)

    at = {"FunctionName": name, "Name": alias}
    return Step(
        title,
        move(wanted, {}, RevisionId=present["RevisionId"]),
        was,
        becomes,
        undo=[move(live, split)],
        observe=Read("lambda", "get_alias", path, **at),
    )
