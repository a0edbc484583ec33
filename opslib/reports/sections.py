"""Which checks a report makes of a target: those of the procedures, for what its file describes."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pkgutil import resolve_name

import jmespath

from opslib import changes
from opslib.core import Connection, Findings, Json, UsageError, strict_yaml
from opslib.reports.changed import check_changes

Check = Callable[[Connection], Findings]


def rows() -> list[Json]:
    """Section, what it needs of a target's file, its checks: the table beside this module."""
    return list(strict_yaml.beside(__file__, "sections"))


def checks(ops: Connection, hours: float) -> list[tuple[str, Check]]:
    """The checks of each section, for what the target's file describes."""
    window = {"hours": hours, "minutes": hours * 60, "days": hours / 24}
    facts = ops.target.facts.plain()
    described = [(row["section"], look) for row in rows() for look in looks(row, facts, window)]
    if not described:
        needed = dict.fromkeys(re.split(r"\W", row["where"])[0] for row in rows())
        raise UsageError(
            f"parameters/targets/{ops.target.key}.yaml describes nothing to look at: "
            f"none of {', '.join(needed)}. Add what it has."
        )
    described += [("changes", partial(check_changes, hours=hours))]
    if changes.is_described(ops):
        remembered = partial(changes.check_configuration, next="changes/configuration")
        recent = partial(changes.check_recent, minutes=hours * 60)
        suspicion = partial(changes.check_suspicion, minutes=hours * 60, beside=True)
        described += [("access", changes.check_trail), ("access", suspicion)]
        return [("configuration", remembered), *described, ("before", recent)]
    return described


def looks(row: Json, facts: Json, window: Json | None = None) -> Iterator[Check]:
    """The checks of a row of the table, where a target's file has what they need."""
    found = jmespath.search(row["where"], facts)
    if found is None or found is False:
        return
    names: list[dict[str, str]] = [{}]
    if "each" in row:
        having = row.get("having")
        names = [{row["each"]: key} for key, of in found.items() if not having or having in of]
    for name in names:
        for check, *words in map(str.split, row["checks"]):
            given = (word.partition("=") for word in words)
            values = {key: int(value) if value else (window or {})[key] for key, _, value in given}
            yield partial(resolve_name(f"opslib.{check}"), **name, **values)
