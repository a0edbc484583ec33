"""What the records of a procedure say that it called, on a target and on its practice copy."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from opslib.catalogue import runbooks
from opslib.core import LAB, Json, Target, UsageError, count, targets
from opslib.core.rights import rights
from opslib.core.rights.rights import ANY, MOST, Asked, document, written
from opslib.records import Record, details, list_records

PREVIEW, APPLY, ROLE = "preview", "apply", "role"
# A time or an id in a name: at the next run it is another one.
_ITS_OWN = re.compile(
    r"(?<![0-9a-f])20\d{6}(?:[-T]?\d{4,6})?Z?(?![0-9a-f])"
    "|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
)
_LONG = 6  # signs of a name that is known again inside of another


@dataclass
class Called:
    """Of the records of one name: which were used, and what they asked, apart by kind of run."""

    name: str
    target: Target
    changes: bool
    used: dict[str, list[Record]] = field(default_factory=dict)
    silent: int = 0  # records that do not say what they called, or called it by another way
    asked: dict[str, list[Asked]] = field(default_factory=dict)
    widened: set[str] = field(default_factory=set)  # names of the other world, that stand as *

    def policy(self, kind: str) -> Json:
        """The document of a kind of run. Raises UsageError that says how to get a record of one."""
        if self.asked.get(kind):
            return document(self.asked[kind])
        if kind in self.asked:
            raise UsageError(f"{self.name} needs no policy: what it calls everybody may call.")
        what = "an apply" if kind == APPLY else "a change under policy.apply_role"
        if kind == PREVIEW:
            what = "a run"
        elif not self.changes:
            raise UsageError(f"{self.name} changes nothing: it has one policy, without --{kind}.")
        if kind == ROLE and not self.target.policy.apply_role:
            raise UsageError(
                f"The file of {self.target.key} names no policy.apply_role, so none makes a "
                "change. How: docs/permissions.md."
            )
        practice = f"opslib run {self.name} -t {LAB}{self.target.key}"
        silent = f" Of {count(self.silent, 'record')} nothing tells it." * bool(self.silent)
        raise UsageError(
            f"No record of {what} of {self.name} on {self.target.key} or its practice copy says "
            f"what was called.{silent} Make one in the lab: {practice}"
            f"{' --apply' * (kind != PREVIEW)}"
        )

    def notes(self, kind: str, policy: Json) -> list[str]:
        """What a policy is made of, and what is not in it."""
        used = self.used[kind]
        outcomes = Counter(record.outcome for record in used)
        on = sorted({record.target for record in used})
        times = sorted(record.started for record in used)
        oldest, newest = (f"{at:%Y-%m-%d %H:%M} UTC" for at in (times[0], times[-1]))
        told = ", ".join(f"{many} {outcome}" for outcome, many in outcomes.most_common())
        said = [
            f"Made from {count(len(used), 'record')} of {self.name} on {' and '.join(on)} "
            f"({told}), of {oldest} to {newest}. A branch that none of them met is not in it."
        ]
        if self.silent:
            said.append(f"Left out, as they do not tell it: {count(self.silent, 'record')}.")
        if self.widened:
            here, there = (
                ("the lab", self.target.key) if not self.target.lab else ("AWS", "the lab")
            )
            said.append(
                f"{count(len(self.widened), 'name')} known in {here} only: * stands for each, "
                f"until a run on {there} names it."
            )
        characters = len(written(policy))
        said.append(f"{characters:,} of the {MOST:,} characters that a managed policy may have.")
        if characters > MOST:
            said.append(
                "It does not fit: divide its statements among several, or make it a role's "
                "inline policy (10,240)."
            )
        return said


def called(name: str, target: str) -> Called:
    """Of the records of a procedure, or of a runbook's entry. Raises UsageError, OpsError."""
    procedure, _, _ = runbooks.find(name)
    found = Called(name, targets.load(target), procedure.changes)
    known = _texts(found.target.facts)
    for record in list_records():
        same = name in (record.name, record.procedure)
        if same and record.ended and record.target.removeprefix(LAB) == found.target.key:
            _add(found, record, known)
    return found


def _add(found: Called, record: Record, known: frozenset[str]) -> None:
    try:
        said = details(record)
    except UsageError:  # its file is not kept any longer
        found.silent += 1
        return
    calls = said.get("calls") or []
    if not any(call.get("named") is not None for call in calls):
        found.silent += 1
        return
    usual, role = APPLY if said.get("steps") else PREVIEW, found.target.policy.apply_role
    if usual == APPLY and role and not (said.get("approval") or {}).get("role"):
        found.silent += 1  # it was applied by a login that may do more by now than it has to
        return
    other = record.lab != found.target.lab
    for kind in (usual, ROLE):
        mine = [c for c in calls if (ROLE if role and c.get("role") else usual) == kind]
        asked = [a for call in mine for a in _asked(found, call, known if other else None)]
        if mine:
            found.used.setdefault(kind, []).append(record)
            found.asked.setdefault(kind, []).extend(asked)


def _asked(found: Called, call: Json, known: frozenset[str] | None) -> Iterator[Asked]:
    """What a call took. `known`: the texts of the target's file, for a call in the other world."""
    service, operation, named = call["service"], call["operation"], call.get("named")
    region = call.get("region") or found.target.region
    if service == "opensearch" and " /" in operation:
        search = found.target.at("search")
        if "domain" not in search or "key" in search:  # its own address, its own login
            return
        service, operation = "es", f"ESHttp{operation.split()[0].capitalize()}"
        named = {"DomainName": [search["domain"]]}
    if named is None:  # no call to AWS
        return
    held = {at: [_told(found, value, known) for value in values] for at, values in named.items()}
    for need in rights.needs(service, operation, held, region, found.target.account):
        yield need, region


def _told(found: Called, value: str, known: frozenset[str] | None) -> str:
    """A name as it is for the target asked for: what only the other world knows is any."""
    head, name = "", value
    if value.startswith("arn:"):
        *parts, name = value.split(":", 5)
        head = ":".join([*parts, ""])
    elif "://" in value:
        name = value.rpartition("/")[2]
    told = name if known is None or name == ANY else _kept(name, known, typed=bool(head))
    if told != name:
        found.widened.add(value)
    return head + _ITS_OWN.sub(ANY, told)


def _kept(name: str, known: frozenset[str], typed: bool) -> str:
    """The words of it that the target's file knows, the others as any; `typed`: after its type."""
    if not typed:
        return name if _is_known(name, known) else ANY
    words = re.split("([:/])", name)
    kept = words[: 1 if len(words) > 1 else 0]
    return "".join(
        kept + [w if w in ":/" or _is_known(w, known) else ANY for w in words[len(kept) :]]
    )


def _is_known(name: str, known: frozenset[str]) -> bool:
    return any(text == name or (len(text) >= _LONG and text in name) for text in known)


def _texts(facts: Json) -> frozenset[str]:
    """Every text that a target's file says of what is in the account; of an ARN its end, too."""
    apart = ("title", "system", "environment", "region", "account")
    found = {*targets.texts(facts, apart)}
    return frozenset(found | {text.rpartition("/")[2] for text in found if text[:4] == "arn:"})
