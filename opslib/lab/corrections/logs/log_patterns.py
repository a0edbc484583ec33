r"""CloudWatch Logs filter patterns, compiled to a function of the message.

    ERROR "Task timed out" -health     every term (a substring, case-sensitive), none of the
    excluded
    ?ERROR ?Exception                  any of them; ignored when there are other terms, as in AWS
    { $.level = "ERROR" && ($.ms > 100 || $.x IS NULL) }
    [ip, user, ..., status = 4* && status != 404, bytes > 1000]
    %colou?r%                          a regular expression, here or as a value

Source: "Filter pattern syntax" in the CloudWatch Logs user guide. What AWS refuses is refused:
InvalidParameterException.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, reduce
from operator import ge, gt, le, lt
from typing import Any

from moto.logs.exceptions import InvalidParameterException

Matcher = Callable[[str], bool]
_Test = Callable[[Any], bool]
_Search = Callable[[str], re.Match[str] | None]

_TERM = re.compile(r'\s*(?:(\?)|(-\s*))?("(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)*%|[^\s"%]+)')
_REGEX = re.compile(r"[\w:#=@/;,\- ^$?\[\]{}|\\*+.]+", re.ASCII)
_SELECTOR = re.compile(r"""\$(?:\.?\[(?:\d+|\*|'[^']+'|"[^"]+")\]|\.[\w-]+|\.\*)+""", re.ASCII)
_STEP = re.compile(r"""\[(\d+|\*)\]|\[['"](.+?)['"]\]|\.([\w-]+|\*)""", re.ASCII)
_OPERATOR = re.compile(r"!=|>=|<=|=|>|<")
_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)*%|(?:(?!&&|\|\|)[^\s()"%=<>!])+')
_STATE = re.compile(r"IS\s+(NULL|TRUE|FALSE)\b|(NOT)\s+EXISTS\b", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_$][\w-]*")
_FIELD = re.compile(r'\[([^\]]*)\]|"([^"]*)"|(\S+)')
_COMMA = re.compile(r',(?=(?:[^"%]*["%][^"%]*["%])*[^"%]*$)')
_ORDER = {">": gt, "<": lt, ">=": ge, "<=": le}


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Matcher:
    """A function that says whether a message matches. An empty pattern matches every message."""
    text = pattern.strip()
    if len(pattern) > 1024:
        limit = "Member must have length less than or equal to 1024"
        raise InvalidParameterException(constraint=limit, parameter="filterPattern", value=pattern)
    if text.startswith("{"):
        return _compile_json(_enclosed(text, "{", "}"))
    if text.startswith("["):
        return _compile_fields(_enclosed(text, "[", "]"))
    return _compile_terms(text)


def _enclosed(text: str, opening: str, closing: str) -> str:
    if not text.endswith(closing):
        raise InvalidParameterException(
            f"If a filter pattern starts with '{opening}' it must end with '{closing}'"
        )
    return text[1:-1].strip()


def _invalid() -> InvalidParameterException:
    return InvalidParameterException("Invalid filter pattern")


def _bad_term(term: str) -> InvalidParameterException:
    return InvalidParameterException(f"Invalid character(s) in term '{term}'")


def _compile_terms(text: str) -> Matcher:
    optional: list[str | _Search] = []
    included: list[str | _Search] = []
    excluded: list[str | _Search] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if not match or match.end() == position:
            raise _invalid()
        into = optional if match[1] else excluded if match[2] else included
        into.append(_term(match[3]))
        position = match.end()
    if excluded:
        wanted, unwanted = _every(included), _some(excluded)
        return lambda message: wanted(message) and not unwanted(message)
    return _some(optional) if optional and not included else _every(included)


# A page has thousands of lines: they are looked through without a generator.
def _every(terms: list[str | _Search]) -> Matcher:
    words, searches = _kinds(terms)
    if searches:
        return lambda message: (
            all(map(message.__contains__, words)) and all(search(message) for search in searches)
        )
    return lambda message: all(map(message.__contains__, words))


def _some(terms: list[str | _Search]) -> Matcher:
    words, searches = _kinds(terms)
    if searches:
        return lambda message: (
            any(map(message.__contains__, words)) or any(search(message) for search in searches)
        )
    return lambda message: any(map(message.__contains__, words))


def _kinds(terms: list[str | _Search]) -> tuple[list[str], list[_Search]]:
    words = [term for term in terms if isinstance(term, str)]
    return words, [term for term in terms if not isinstance(term, str)]


def _term(term: str) -> str | _Search:
    """What is to be in a message."""
    if term.startswith("%"):
        return _regex(term)
    if term.startswith('"'):
        phrase = re.sub(r"\\(.)", r"\1", term[1:-1])
        if not phrase:
            raise _bad_term(term)
        return phrase if phrase.strip() else ""  # which is in every message
    if not re.fullmatch(r"\w+", term):
        raise _bad_term(term)
    return term


def _regex(term: str) -> _Search:
    body = term[1:-1]
    if not _REGEX.fullmatch(body):
        raise _bad_term(term)
    try:
        return re.compile(body).search
    except re.error:
        raise _invalid() from None


def _compile_json(text: str) -> Matcher:
    parser = _Conditions(text, _selected)
    test = parser.parse()
    if parser.wildcards > 3:
        raise _invalid()

    def matches(message: str) -> bool:
        if not message.lstrip().startswith(("{", "[")):
            return False
        try:
            return test(json.loads(message))
        except ValueError:
            return False

    return matches


class _Conditions:
    """`subject operator value`, joined by && and || and parentheses; && binds closer."""

    def __init__(self, text: str, subject: Callable[[_Conditions], Callable[[Any], list[Any]]]):
        self.text = text
        self.position = 0
        self.wildcards = 0
        self._subject = subject

    def parse(self) -> _Test:
        test = self._any()
        if self.position < len(self.text):
            raise _invalid()
        return test

    def take(self, pattern: re.Pattern[str] | str) -> re.Match[str] | None:
        """Take what matches here, and the space after it."""
        match = re.compile(pattern).match(self.text, self.position)
        if match:
            self.position = match.end()
            while self.text[self.position : self.position + 1].isspace():
                self.position += 1
        return match

    def _any(self) -> _Test:
        tests = [self._all()]
        while self.take(r"\|\|"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def _all(self) -> _Test:
        tests = [self._one()]
        while self.take("&&"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _one(self) -> _Test:
        if self.take(r"\("):
            test = self._any()
            if not self.take(r"\)"):
                raise _invalid()
            return test
        select = self._subject(self)
        state = self.take(_STATE)
        if state:
            return _state(select, state)
        operator, value = self.take(_OPERATOR), self.take(_VALUE)
        if not operator or not value:
            raise _invalid()
        compare = _comparison(operator[0], value[0])
        return lambda document: any(compare(found) for found in select(document))


def _state(select: Callable[[Any], list[Any]], state: re.Match[str]) -> _Test:
    if state[2]:
        return lambda document: not select(document)
    wanted = {"NULL": None, "TRUE": True, "FALSE": False}[state[1].upper()]
    return lambda document: any(found is wanted for found in select(document))


def _comparison(operator: str, value: str) -> _Test:
    """The test of one value: a number against a number, else as text with * as a wildcard."""
    if operator in _ORDER:
        number, order = _number(value), _ORDER[operator]
        if number is None:
            raise _invalid()
        return lambda found: (actual := _number(found)) is not None and order(actual, number)
    equal = _equality(value)
    if operator == "=":
        return equal
    return lambda found: _text(found) is not None and not equal(found)


def _equality(value: str) -> _Test:
    if value.startswith("%"):
        search = _regex(value)
        return lambda found: (said := _text(found)) is not None and search(said) is not None
    quoted = value.startswith('"')
    if not quoted and not re.fullmatch(r"[\w.*:/@+-]+", value):
        raise _bad_term(value)
    plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
    glob = re.compile(".*".join(map(re.escape, plain.split("*"))), re.DOTALL)
    number = None if quoted else _number(plain)

    def equal(found: Any) -> bool:
        if number is not None and (actual := _number(found)) is not None:
            return actual == number
        return (said := _text(found)) is not None and glob.fullmatch(said) is not None

    return equal


def _text(found: Any) -> str | None:
    """A value as it is compared with text; None for null, arrays and objects,
    which match nothing.
    """
    if isinstance(found, str):
        return found
    return json.dumps(found) if isinstance(found, int | float) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _selected(parser: _Conditions) -> Callable[[Any], list[Any]]:
    """`$.a.b[0]`, `$.['a.b']`, `$.a[*]`.

    What a document holds there, as a list of none, one or many.
    """
    selector = parser.take(_SELECTOR)
    if not selector:
        raise _invalid()
    steps: list[str | int] = []
    for index, key, name in _STEP.findall(selector[0]):
        steps.append(int(index) if index.isdigit() else index or key or name)
    wildcards = steps.count("*")
    parser.wildcards += wildcards
    if wildcards > 1:
        raise _invalid()
    return lambda document: reduce(_all_below, steps, [document])


def _all_below(values: list[Any], step: str | int) -> list[Any]:
    return [found for value in values for found in _below(value, step)]


def _below(value: Any, step: str | int) -> Iterator[Any]:
    if isinstance(value, dict):
        if step == "*":
            yield from value.values()
        elif step in value:
            yield value[step]
    elif isinstance(value, list):
        if step == "*":
            yield from value
        elif isinstance(step, int) and step < len(value):
            yield value[step]


def _compile_fields(text: str) -> Matcher:
    """Positions: before and after `...`; without it the last field takes the rest of the
    message.
    """
    fields = [field.strip() for field in _COMMA.split(text.replace("…", "..."))]
    if fields.count("...") > 1:
        raise _invalid()
    gap = fields.index("...") if "..." in fields else None
    head = [_field(field) for field in fields[:gap]]
    tail = [] if gap is None else [_field(field) for field in fields[gap + 1 :]]

    def matches(message: str) -> bool:
        found = list(_FIELD.finditer(message))
        if len(found) < len(head) + len(tail):
            return False
        values = [match[1] or match[2] or match[3] or "" for match in found]
        if gap is None and len(values) > len(head):
            values[len(head) - 1 :] = [message[found[len(head) - 1].start() :].rstrip("\n")]
        pairs = [
            *zip(head, values, strict=False),
            *zip(reversed(tail), reversed(values), strict=False),
        ]
        return all(test(value) for test, value in pairs if test)

    return matches


def _field(field: str) -> _Test | None:
    """The test of one field; None for a name only."""
    name = _NAME.match(field)
    if not field or (name and name[0] == field):
        return None

    def subject(parser: _Conditions) -> Callable[[Any], list[Any]]:
        said = parser.take(_NAME)
        if not said or not name or said[0] != name[0]:
            raise _invalid()
        return lambda value: [value]

    return _Conditions(field, subject).parse()
