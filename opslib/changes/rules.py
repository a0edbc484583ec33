"""Settings that are wrong from the first day: the table of rules.yaml over what was read."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import jmespath

from opslib.changes.resources import UNREAD, Described, data, table
from opslib.core import Connection, Finding, Json, Question, decoded, fits

_ODD = (LookupError, TypeError, ValueError, AttributeError)  # JMESPath's own are ValueErrors
_TIMES = 6  # of a function's time-out, where Lambda takes from a queue


def judged(
    ops: Connection, described: Described, accepted: Callable[[tuple[str, str, str]], str]
) -> Iterator[Finding]:
    """A finding for each resource that breaks a rule and is not accepted; and one over all."""
    said, broken, taken = data("rules"), 0, []
    every: dict[str, list[Json]] = {}
    plain = {key: _plain(of, ops.now()) for key, of in described.found.items()}
    settings = {key: of for key, of in plain.items() if isinstance(of, dict)}
    for (kind, _), of in settings.items():
        every.setdefault(kind, []).append(of)
    today, facts = ops.now().date(), ops.target.facts.plain()
    ended = [name for name, day in said["runtimes"].items() if day <= today]
    for (kind, name), of in settings.items():
        known = {"of": of, "name": name, "all": every, "ended": ended, "facts": facts}
        for rule in said["rules"]:
            if kind not in rule["kinds"] or of.get(rule["setting"].split(".")[0]) == UNREAD:
                continue
            words = f"{rule['setting']} of {kind} {name}"
            asked = Question(words, rule["rule"], rule["source"])
            try:
                known |= _beside(ops, kind, name, of, every)
                wrong = jmespath.search(rule["wrong"], known)
                told = ", ".join(map(str, wrong)) if isinstance(wrong, list) else wrong
                seen = rule["seen"].format_map(known | {"wrong": told}) if wrong else ""
            except _ODD as exc:
                yield asked.unknown(f"not understood: {type(exc).__name__}: {exc}")
                continue
            if seen and (why := accepted((kind, name, rule["setting"]))):
                taken.append(f"{words} ({seen}; {why})")
            elif seen:
                broken += 1
                status = rule.get("status", "warn")
                seen = f"{seen}. See {rule['source']}"
                yield asked.answer(status, seen, next="changes/configuration")
    told = f"{len(said['rules'])} rules over {described.read} resources: {broken} broken"
    told += f"; accepted: {'; '.join(taken)}" if taken else ""
    if described.read:  # of nothing, no rule was kept
        yield Question("rules of configuration", "kept", "describe calls").ok(told)


def accepted(ops: Connection, place: tuple[str, str, str]) -> str:
    """Why the target's file takes a setting as it is (`accepted`), until its date; else empty."""
    text = " ".join(place).strip()
    for each in ops.target.at("accepted"):
        what = [each["what"] + end for end in ("", " *", ".*")]
        if fits(text, what) and f"{ops.now():%Y-%m-%d}" <= each["until"]:
            return f"accepted until {each['until']}: {each['reason']}"
    return ""


def _plain(of: Any, now: datetime) -> Any:
    """With numbers and JSON in texts read, and times as days from now."""
    if isinstance(of, dict):
        return {name: _plain(each, now) for name, each in of.items()}
    if isinstance(of, list):
        return [_plain(each, now) for each in of]
    if isinstance(of, datetime):
        return (of - now) / timedelta(days=1)
    return decoded(of, of) if isinstance(of, str) and of != UNREAD else of


def _beside(
    ops: Connection, kind: str, name: str, of: Json, every: dict[str, list[Json]]
) -> dict[str, Any]:
    """What the target's file says of a resource, and of a queue, who takes from it and fills it."""
    facts, called = ops.target.facts, {name, name.split(" ")[0]}
    parts = (facts.get(part, {}) for part in table()[kind].get("of", ()))
    named = (each for part in parts for each in part.values() if isinstance(each, dict))
    own = (each for each in named if called & {each.get(key) for key in ("name", "id", "host")})
    found = {
        "production": ops.target.production,
        "described": dict(next(own, {})),
        "meant": _meant(facts, name, of),
    }
    if kind != "queue":
        return found
    consumers = [
        {
            "name": each["FunctionName"],
            "seconds": each["Timeout"],
            "least": each["Timeout"] * (_TIMES if by_lambda else 1),
            "by_lambda": by_lambda,
        }
        for each in every.get("function", ())
        for by_lambda in _takes(facts, name, of, each)
    ]
    sources = f"queue[?RedrivePolicy.deadLetterTargetArn=='{of['QueueArn']}']"
    consumer = max(consumers, key=lambda each: each["least"], default=None)
    source = jmespath.search(f"max_by({sources}, &MessageRetentionPeriod)", every)
    return found | {"consumer": consumer, "source": source}


def _meant(facts: Any, alarm: str, of: Json) -> str:
    """The function, queue or service that an alarm is named after, where it watches another."""
    told = {each["Value"] for each in of.get("Dimensions") or ()}
    for part in ("functions", "queues", "services"):
        path = f"{part}.*.[name, dead_letters][] | [?@]"
        names = {*(jmespath.search(path, facts) or ())}
        meant: str = max(filter(alarm.startswith, names), key=len, default="")
        if told & names and meant not in told:
            return meant
    return ""


def _takes(facts: Any, name: str, queue: Json, function: Json) -> Iterator[bool]:
    """How a function takes from a queue: by a trigger of Lambda's (true), as the work of a job."""
    if queue["QueueArn"] in (jmespath.search("triggers[].EventSourceArn", function) or ()):
        yield True
    for job in facts.get("jobs", {}).values():
        told = [facts.get(f"{part}s", {}).get(job.get(part), {}) for part in ("queue", "function")]
        if [each.get("name") for each in told] == [name, function["FunctionName"]]:
            yield False
