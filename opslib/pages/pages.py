"""A record as one HTML page for someone who was not there: nothing is loaded from elsewhere,
nothing runs.
"""

import base64
import hashlib
import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from opslib.core import SEVERITY, Json
from opslib.core.text import cut, templates, visible
from opslib.pages import cells, commands, sanitise

_HERE = Path(__file__).parent


def prepare() -> None:
    """Import and compile what records and pages need; for a moment with nothing else to do."""
    from nbformat import v4

    v4.new_notebook()  # compiles the schema of notebooks
    template("page.html")
    sanitise.markdown("")


def render(notebook: Any, seal: Json | None = None) -> str:
    """The page. The notebook is a record's: masked, with its facts in the metadata.

    `seal`: the record's `id`, `number` in the chain and `sha256`, when it is sealed.
    """
    facts = notebook["metadata"].get("opslib", {})
    found = findings(facts)
    told = cells.shown(notebook, found)
    calls = facts.get("calls", [])
    made = template("page.html").render(
        facts=facts,
        seal=seal,
        **style(),
        title=title(notebook) or facts.get("name", "Notebook"),
        findings=found,
        counts=cells.counts(found),
        unshown=cells.unshown(found, told),
        following=commands.following(facts, found),
        to_apply=commands.to_apply(facts, notebook),
        cells=told,
        calls=calls,
        operations=_operations(calls),
        odd_calls=_odd(calls),
    )
    return visible(str(made))


def style() -> dict[str, str]:
    """The style sheet, and the hash by which the page's own policy knows it."""
    text = (_HERE / "templates" / "page.css").read_text(encoding="utf-8")
    return {
        "style": text,
        "style_hash": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
    }


@cache
def template(name: str) -> Any:
    """One of opslib/pages/templates/; whatever is put into it is escaped."""
    from jinja2 import ChainableUndefined

    # a record that was killed, or an older one, lacks some facts
    environment = templates(_HERE, autoescape=True, undefined=ChainableUndefined)
    environment.filters |= {
        "shown": _shown,
        "time": datetime.fromisoformat,
        "picture": _picture,
        "breakable": lambda text: escape(text).replace("/", Markup("/<wbr>")),
        "markdown": sanitise.markdown,
        "terminal": sanitise.terminal,
        "clean_html": sanitise.clean_html,
    }
    return environment.get_template(name)


def _shown(value: Any) -> str:
    from jinja2 import Undefined

    if value is None or isinstance(value, Undefined):
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def findings(facts: Json) -> list[Json]:
    """Worst first; of those before a change, only when there is none after it."""
    found = list(facts.get("findings", ()))
    after = [f for f in found if f.get("verifies")]
    return sorted(after or found, key=lambda f: -SEVERITY[f.get("status", "unknown")])


def _operations(calls: list[Json]) -> list[tuple[str, int, float]]:
    """How often each was called, and how many seconds that took."""
    made: dict[str, list[Json]] = {}
    for call in calls:
        made.setdefault(_called(call), []).append(call)
    told = [
        (name, len(of), sum(call.get("seconds") or 0 for call in of)) for name, of in made.items()
    ]
    return sorted(told, key=lambda each: -each[1])


def _odd(calls: list[Json]) -> list[Json]:
    """Those that failed or were repeated: how often each, and the last request, for AWS."""
    found: dict[tuple[str, str], Json] = {}
    for call in calls:
        error, retries = call.get("error"), call.get("retries")
        if error or retries:
            key = _called(call), str(error)
            times = found[key]["times"] + 1 if key in found else 1
            found[key] = {**call, "name": key[0], "times": times}
    return sorted(found.values(), key=lambda each: -int(each["times"]))


def _called(call: Json) -> str:
    return cut(f"{call.get('service')}.{call.get('operation')}", 80)


def _picture(data: Json) -> str:
    """The address of the picture in an output; empty when it has none, or a table as well."""
    if "text/html" in data:
        return ""
    for mime in ("image/jpeg", "image/gif"):
        if mime in data:
            return f"data:{mime};base64,{data[mime].replace(chr(10), '')}"
    if "image/svg+xml" in data:  # so it runs nothing, loads nothing
        svg = base64.b64encode(data["image/svg+xml"].encode()).decode()
        return f"data:image/svg+xml;base64,{svg}"
    return ""


def title(nb: Any) -> str:
    """The first heading of a notebook."""
    return next(filter(None, (_heading(cell) for cell in nb["cells"])), "")


def section(nb: Any, index: int) -> str:
    """The last heading at or before a cell."""
    return next(filter(None, (_heading(cell) for cell in reversed(nb["cells"][: index + 1]))), "")


def _heading(cell: Any) -> str:
    """The last one in a cell."""
    markdown = cell["cell_type"] == "markdown"
    found = re.findall(r"^#+ +(.+?)\s*$", cell["source"], re.M) if markdown else []
    return str(found[-1]) if found else ""
