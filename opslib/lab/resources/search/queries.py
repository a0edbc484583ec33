"""OpenSearch's queries, the few that the stand-in understands; others are an error, as there."""

import re
from typing import Any


def matches(query: Any, id: str, document: dict[str, Any]) -> bool:
    """Whether a document fits a query of the Query DSL. Raises ValueError for an unknown kind."""
    if not query:
        return True
    ((kind, about),) = query.items()
    if kind == "match_all":
        return True
    if kind == "ids":
        return id in map(str, about["values"])
    if kind == "bool":
        return _bool(about, id, document)
    if kind == "exists":
        return document.get(about["field"]) is not None
    ((field, wanted),) = about.items()
    value = document.get(field)
    if kind == "terms":
        return str(value) in map(str, wanted)
    if isinstance(wanted, dict):
        wanted = wanted.get("value", wanted.get("query"))
    if kind == "term":
        return str(value) == str(wanted)
    if kind == "match":
        return bool(_words(wanted) & _words(value))
    raise ValueError(f"unknown query [{kind}]")


def _bool(about: Any, id: str, document: dict[str, Any]) -> bool:
    def clauses(name: str) -> list[bool]:
        given = about.get(name, [])
        given = given if isinstance(given, list) else [given]
        return [matches(each, id, document) for each in given]

    should = clauses("should")
    must = [*clauses("must"), *clauses("filter")]
    return all(must) and not any(clauses("must_not")) and (any(should) or not should or bool(must))


def _words(value: Any) -> set[str]:
    return set(re.findall(r"\w+", str(value).lower()))
