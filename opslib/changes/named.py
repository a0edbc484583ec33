"""What resources name and is not there: a trigger, a target, dead letters, a role."""

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from opslib.changes import rules
from opslib.changes.resources import Described, data, read_resources, table
from opslib.core import Connection, Finding, Findings, Question, check, count, targets, unread

_MAY = re.compile('"(Statement|sourceQueueArns)"')  # who may do what; that need not be there
_BY = ["registeredBy"]  # who once did it
_ALLOWS = {"role", "inline policy", "policy", "key"}


@check("Is what is named there?")
def check_named(ops: Connection, kind: str = "") -> Findings:
    """Functions, queues, topics, roles, origins and more (named.yaml) that what is described (or
    what is of a `kind`) names, settings and variables alike; not those of other regions.
    """
    described = read_resources(ops, kind)
    here = {"region": ops.target.region, "account": ops.target.account}
    texts = {
        " ".join(key): "\n".join(t for t in targets.texts(body, _BY) if not _MAY.search(t))
        for key, body in described.found.items()
        if key[0] not in _ALLOWS
    }

    def look(of: str) -> list[Finding]:
        told = data("named")[of][0]
        pattern, ours = told.format(**here), "{account}" in told
        named: dict[str, list[str]] = {}
        for by, text in texts.items():
            for name in {*re.findall(pattern, text)}:
                named.setdefault(name, []).append(by)
        asked = Question(f"{of}s that are named", "there", f"the list of every {of}")
        there = {name.lower() for name in (list_names(ops, of) if named else ())}  # DNS folds it
        gone = [
            asked.answer(
                "critical" if ours else "warn",
                f"{name} is not {'there' if ours else 'in this account'}, "
                f"and {', '.join(by[:3])} needs it",
                next="changes/who",
            )
            for name, by in sorted(named.items())
            if name.lower() not in there
        ]
        return gone or [asked.ok(count(len(named), of))] * bool(named)

    found = ops.each(look, data("named"), "every {}")
    told = Findings(finding for each in found.values() for finding in each)
    told += _gone(described, texts)
    told += not_read(ops, "what is named", described, table().keys() - _ALLOWS)
    return told


def _gone(described: Described, texts: Mapping[str, str]) -> Iterator[Finding]:
    """Of what has no list in named.yaml: what is led to, and AWS says that there is none."""
    for kind, name in described.absent:
        by = [by for by, text in texts.items() if name in text]
        # AWS itself makes what is called default.
        if by and kind not in data("named") and not name.startswith("default"):
            asked = Question(f"{kind} {name}", "it is there", "describe calls")
            seen = f"it is not there, and {', '.join(by[:3])} needs it"
            yield asked.critical(seen, next="changes/who")


def not_read(
    ops: Connection, asked: str, described: Described, kinds: Container[str]
) -> list[Finding]:
    """That something of these kinds could not be read, and nobody accepts that; else nothing."""
    for operation, (exc, keys) in sorted(described.unread.items()):
        of = [" ".join(key) for key in keys if key[0] in kinds]
        if of and not rules.accepted(ops, ("read", operation, "")):
            found = unread(asked, exc)
            seen = f"not known of {count(len(of), 'resource')} ({of[0]} …). {found.seen}"
            return [replace(found, seen=seen)]
    return []


def list_names(ops: Connection, kind: str) -> set[str]:
    """All of that kind in the account and region (named.yaml says which kinds)."""
    lists = data("named")[kind][1:]
    return {
        re.split("[/:]", name)[-1] for of in lists for name in ops.pages(*of[:3], **dict(*of[3:]))
    }
