"""Words that mean trouble, for lines whose level is not understood.

Not where they are negated ("without errors"), zero ("errors: 0"), part of a name or a path, or of a
thing that is about errors ("error page").
"""

from __future__ import annotations

import re

_LONGEST = 4_000  # characters of a line that are looked at
NOUN = re.compile(
    r"[\s_-]+(?:codes?|counts?|rates?|budgets?|handl\w+|pages?|logs?|messages?|reports?|levels?"
    r"|thresholds?|totals?|types?|tracking|boundar\w+|metrics?|free|ratio|percent\w*)\b",
    re.I,
)
_TROUBLES = (
    r"(?:errors?|exceptions?|fail(?:s|ed|ures?|ing)?|fatal|panic(?:ked)?|crash(?:e[sd])?|timeouts?"
    r"|abort(?:ed)?|time[sd]?[ -]?out)"
)
_HARMLESS = re.compile(
    rf"\b(?:no|not|0|zero|without|any|non|never|if|ignor\w+|handled|recover\w*|expected"
    rf"|suppress\w*|clear\w*|resolved|fixed|un)[ -]+(?:\w+[ -]+)?{_TROUBLES}\b"
    rf"|\b{_TROUBLES}(?:[ _-]?\w+)?[\"']?\s*[=:]\s*[\"']?"
    r"(?:0+\b(?!\.\d*[1-9])|none|null|nil|no\b(?!\s*\w)|false|\[\]|\{\}|\"\"|'')"
    rf"|\b{_TROUBLES}=(?:\s|$)"
    rf"|\b{_TROUBLES}{NOUN.pattern}(?!\s*=\s*[1-9])",
    re.I,
)
_WORDS = re.compile(
    r"(?<![\w/.$-])(?:errors?|exceptions?|fail(?:s|ed|ures?|ing)?|fatal|panic(?:ked)?"
    r"|crash(?:e[sd])?|killed|abort(?:ed|ing)?|traceback|refused|denied|unable to|can(?:not|'t)"
    r"|could(?: not|n't)|unhandled|uncaught|out of memory|segfault\w*|segmentation fault"
    r"|core dumped|unreachable|unavailable|corrupt(?:ed)?|deadlock(?:ed)?|exhausted|oom[- ]?kill\w*"
    r"|no space left|throttled|time[sd][ -]?out|exited with (?!(?:code|status)\W*0\b)"
    r"|time-?out (?:after|exceeded|while|waiting|error|expired|reached)"
    r"|exit(?:ed)? (?:code|status):? ?(?!0)\d+)(?![\w/=-]|\.\w)"
    r"|\b(?:errors?|exceptions?|fail(?:ed|ures?))(?:_count)?\s*=\s*[1-9]"
    r"|\bconnection (?:reset|lost|aborted|closed unexpectedly)|reset by peer|broken pipe"
    r"|\berr(?:or)?=(?!\W*(?:$|\s)|0\b|nil\b|null\b|none\b|false\b)"
    r"|(?<![/\w.-])[A-Za-z_][\w.:]*(?:Error|Exception|Fault|ExitError)\b(?![\w/]|\.\w)"
    r"|\*\* \(\w+|panicked at|OutOfMemory|Traceback \(most|npm ERR!",
    re.I,
)


def trouble(text: str) -> bool | None:
    """Whether such words are in a text; False where they are denied there, None where none is."""
    left, times = _HARMLESS.subn(" ", text[:_LONGEST])
    return True if _WORDS.search(left) else False if times else None
