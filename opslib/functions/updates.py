"""New code for a function: published, put behind the alias, watched, taken back when it fails."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from opslib.core import (
    Aws,
    Connection,
    Function,
    Json,
    Planned,
    Refused,
    Step,
    UsageError,
    Watch,
    functions,
    planner,
    result,
)
from opslib.functions.configurations import (
    differences,
    published,
    require_whole,
    settled,
    taken_over,
)

_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[\w.-]+/\S+[:@]\S+")


@planner
def plan_update(
    ops: Connection,
    function: str,
    code: str = "",
    sha256: str = "",
    description: str = "",
    watch_seconds: float = 300,
) -> Planned:
    """What $LATEST has, or `code` (s3://bucket/key?versionId=…, an image), becomes what is live.

    `sha256`: of the code, as Lambda writes it; another one is refused. Lambda validates the code
    without taking it over (DryRun). Raises UsageError, Refused: no alias, a split of its traffic,
    an update that failed, nothing new.
    """
    known = Function(ops, function)
    name, alias, at = known.name, known.alias(), {"FunctionName": known.name}
    if alias is None:
        raise Refused(
            f"{name} has no alias: new code would be live at once, and nothing could take it back. "
            "Nothing was changed; name an alias in the target's file (functions.*.alias)."
        )
    require_whole(name, alias)
    if known.reserved() == 0:
        raise Refused(
            f"The concurrency of {name} is 0: nothing would call the new version. "
            "Nothing was changed; functions/scale gives it some."
        )
    latest, live = settled(known), known.live()
    if functions.states(latest)[1] != "Successful" and not code:
        raise Refused(
            f"The last update of {name} is {functions.states(latest)[1]}: "
            f"{latest.get('LastUpdateStatusReason', '')}. Nothing was changed."
        )
    given, steps, notes = _code(code), list[Step](), list[str]()
    expected: Any = sha256 or latest["CodeSha256"]
    if given:
        ops.call("lambda", "update_function_code", DryRun=True, **at, **given)
        put = Aws("lambda", "update_function_code", RevisionId=latest["RevisionId"], **at, **given)
        kept = latest["CodeSha256"][:12]
        steps = [
            Step(f"Code of $LATEST of {name}: {code}", put, kept, code, undo=[], name="code"),
            taken_over(name),
        ]
        expected = sha256 or result("code.CodeSha256")
        notes = ["$LATEST keeps the new code when the alias goes back: nothing calls that."]
    elif sha256 and sha256 != latest["CodeSha256"]:
        raise Refused(
            f"$LATEST of {name} has code {latest['CodeSha256']}, not {sha256}. Nothing "
            "was changed; see what was deployed there."
        )
    changes = differences(live, latest)
    if not given and live["CodeSha256"] == latest["CodeSha256"] and not changes:
        note = (
            f"$LATEST has the code and configuration of version {live['Version']}, which is live."
        )
        return Planned(f"{name} stays at version {live['Version']}", notes=[note])
    text = description or latest.get("Description", "")
    number = alias["FunctionVersion"]
    also = f"; with it: {'; '.join(changes)}" if changes else ""
    steps += published(name, alias, expected, text, f"a new version{also}")
    [back] = steps[-1].undo or ()
    group = (live.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
    watched = Watch(group, result("published.Version"), number, watch_seconds, back)
    title = (
        f"Watch it for {watch_seconds:g} s; when it does worse than version {number}, back to that"
    )
    steps.append(Step(title, watched, undo=[]))
    return Planned(f"update {name} from version {live['Version']}", steps, notes)


def _code(code: str) -> Json:
    """What UpdateFunctionCode takes. Raises UsageError."""
    if not code or _IMAGE.fullmatch(code):
        return {"ImageUri": code} if code else {}
    at = urlsplit(code)
    if at.scheme != "s3" or not at.netloc or not at.path.strip("/"):
        raise UsageError(
            f"{code!r} is neither s3://bucket/key (?versionId=…) nor an image's URI "
            "with its tag or digest."
        )
    version = parse_qs(at.query).get("versionId", [""])[0]
    found = {"S3Bucket": at.netloc, "S3Key": at.path.lstrip("/")}
    return found | ({"S3ObjectVersion": version} if version else {})
