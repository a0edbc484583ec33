"""A function invoked once, by hand: what it is sent, what it answers, how its log ends."""

import json
import re
from typing import Any

from opslib.core import (
    FAILURES,
    Connection,
    Findings,
    Function,
    Planned,
    Question,
    Step,
    UsageError,
    check,
    cut,
    dtypes,
    frame,
    functions,
    paths,
    planner,
    sign_of,
)
from opslib.core.actions.actions import file
from opslib.core.actions.lambdas import Ask, Reply, trouble

LINES = dtypes("line str")
_NEAR = 0.9  # of what it may take
_BEGINS, _SHOWN = 300, 4000  # characters of an answer
# bytes, by how: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MOST = {"RequestResponse": 6 * 1024**2, "Event": 1024**2}
_REPORT = "its REPORT line"
_TOOK = re.compile(  # of a log in text, and in JSON
    r'(?:\tDuration: |"durationMs":)([\d.]+).*(?: Size: |"memorySizeMB":)(\d+)\D+(\d+)'
)


@planner
def plan_invocation(
    ops: Connection,
    function: str,
    payload: str = "{}",
    qualifier: str = "",
    background: bool = False,
) -> Planned:
    """Invoke a function once. `payload`: JSON, or a file of it; `qualifier`: a version or an alias,
    else the target's alias; `background`: handed over, nobody waits for the answer.

    Raises UsageError (no JSON, too much of it), NotFound (no such version), NotAllowed.
    """
    known = Function(ops, function)
    asked = qualifier or known.facts.get("alias", functions.LATEST)
    about, how = known.configuration(asked), "Event" if background else "RequestResponse"
    sent = _payload(payload, _MOST[how])
    do = Ask(known.name, asked, how, sent, about["Timeout"])
    if not ops.target.policy.apply_role:  # else another login does it
        known.call("invoke", Qualifier=asked, InvocationType="DryRun")
    notes = [f"It may run for {about['Timeout']} s; what it does stays done."]
    notes += ["If it fails, it runs up to twice more by itself."] * background
    step = Step(
        f"Invoke {known.name}, {asked}, with {cut(str(sent), 100)}",
        do,
        f"version {about['Version']} of {about['LastModified'][:19]}",
    )
    return Planned(f"invoke {known.name} once", [step], notes)


def _payload(given: str, most: int) -> Any:
    """As it is sent: JSON as a text, or what stands for a file of it."""
    try:
        text = json.dumps(json.loads(given.strip() or "{}"), allow_nan=False)
        sent: Any = text
    except ValueError as exc:
        try:
            path = paths.typed(given)
            text = path.read_text()
            json.loads(text)
            sent = file(path)
        except (OSError, ValueError, RuntimeError):
            raise UsageError(
                f"payload is neither JSON ({exc}) nor a file of it on this machine. In a shell it "
                "stands in single quotes: -p payload='{\"id\": 1}'. Nothing was called."
            ) from exc
    if len(text) > most:
        raise UsageError(f"payload: Lambda takes {most:,} bytes so, and these are {len(text):,}.")
    return sent


@check("What did it answer?")
def check_answer(ops: Connection) -> Findings:
    """How the invocation ended that this run made, what it took, what was answered.

    Evidence: LINES, the end of its log.
    """
    asked = Question("it answers", "no error, and none in its answer", "lambda Invoke")
    reply = ops.kept(Reply) or Reply()
    if reply.get("StatusCode") == 202:
        seen = "202: it was handed over, and runs by itself. How it ends: functions/health, its log"
        return Findings(asked.ok(seen))
    log, said = reply.get("LogResult", ""), reply.get("Payload")
    answered = json.dumps(said, ensure_ascii=False)
    found = [asked.ok(f"version {reply.get('ExecutedVersion')}: {cut(answered, _BEGINS)}")]
    if why := reply.get("Failed") or trouble(said):
        sign = sign_of(FAILURES, why)
        follow = sign.next.replace("queues/dead-letters", "logs/search")
        found = [asked.critical(f"{sign.name}: {cut(why, _BEGINS)}", next=follow)]
    for ms, mb, used in _TOOK.findall(log)[-1:]:
        seen = f"{float(ms):,.0f} ms of {reply['Timeout']} s, {used} MB of {mb}"
        most = max(float(ms) / 1000 / reply["Timeout"], int(used) / int(mb))
        bounds = Question(
            "it ends within its bounds", f"at most {_NEAR * 100:g} % of each", _REPORT
        )
        found.append(bounds.judged(most <= _NEAR, seen, otherwise="warn", next="functions/scale"))
    lines = [(line,) for line in log.splitlines()]
    return Findings(found, frame(lines, LINES), f"It answered: {cut(answered, _SHOWN)}")
