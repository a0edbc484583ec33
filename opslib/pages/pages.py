"""A record as one HTML page for someone who was not there: nothing is loaded from elsewhere, nothing runs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from opslib.core.findings import SEVERITY
from opslib.pages import sanitise

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_CALLS = 1000
_NOTE_UNUSED = re.compile(r"\*Operator's note[^*\n]*\*")  # nobody wrote in it


def prepare() -> None:
    """Import what `render` needs; for a moment when there is nothing else to do."""
    template("page.html")
    sanitise.markdown("")
    sanitise.code("")


def render(notebook: Any) -> str:
    """The page. The notebook is a record's: masked, with its facts in the metadata."""
    facts = notebook["metadata"].get("opslib", {})
    return str(
        template("page.html").render(
            facts=facts,
            **style(),
            title=_title(notebook),
            where=_where(facts),
            when=_when(facts),
            findings=[f for f in _findings(facts) if f.get("status") != "ok"],
            passed=[f for f in _findings(facts) if f.get("status") == "ok"],
            blocks=list(_blocks(notebook, facts)),
            calls=facts.get("calls", [])[:_SHOWN_CALLS],
            calls_total=len(facts.get("calls", [])),
            operations=Counter(
                f"{c.get('service')}.{c.get('operation')}" for c in facts.get("calls", [])
            ).most_common(),
        )
    )


def style() -> dict[str, str]:
    """The style sheet, and the hash by which the page's own policy knows it."""
    text = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    return {
        "style": text,
        "style_hash": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
    }


@cache
def template(name: str) -> Any:
    """One of opslib/templates/; whatever is put into it is escaped."""
    from jinja2 import ChainableUndefined, Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=ChainableUndefined,  # a record that was killed, or an older one, lacks some facts
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = _shown
    return environment.get_template(name)


def _shown(value: Any) -> str:
    from jinja2 import Undefined

    if value is None or isinstance(value, Undefined):
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _title(notebook: Any) -> str:

    return title(notebook) or str(notebook["metadata"].get("opslib", {}).get("name", "Notebook"))


def _where(facts: dict[str, Any]) -> tuple[str, str]:
    """(css class, words) of the mark at the top."""
    if facts.get("lab"):
        return "lab", "Practice lab"
    environment = str(facts.get("target", "")).rpartition("-")[2]
    if facts.get("production") or environment in ("production", "prod"):
        return "production", "PRODUCTION"
    return "other", environment or "no target"


def _when(facts: dict[str, Any]) -> dict[str, str]:
    started = datetime.fromisoformat(facts["started"]) if facts.get("started") else None
    ended = datetime.fromisoformat(facts["ended"]) if facts.get("ended") else None
    return {
        "started": f"{started:%Y-%m-%d %H:%M:%S} UTC" if started else "",
        "took": _took((ended - started).total_seconds()) if started and ended else "",
    }


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def _findings(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Worst first; of those before a change, only when there is none after it."""
    found = list(facts.get("findings", ()))
    after = [f for f in found if f.get("verifies")]
    return sorted(after or found, key=lambda f: -SEVERITY[f.get("status", "unknown")])


def _blocks(notebook: Any, facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the template shows of each cell: `text` (HTML), or `code` (HTML) with `outputs` and `error`.

    A cell tagged `lead` comes before the findings.
    """
    titled = False
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", ())
        lead = "lead" in tags
        if cell["cell_type"] == "markdown":
            source = cell["source"] if titled else _without_title(cell["source"])
            titled = True
            if (
                source.strip()
                and not _NOTE_UNUSED.fullmatch(source.strip())
                and "papermill-error-cell-tag" not in tags
            ):
                yield {"kind": "text", "lead": lead, "text": sanitise.markdown(source)}
        elif "parameters" in tags:
            yield {"kind": "parameters", "lead": False}
        elif (
            cell["cell_type"] == "code"
            and "injected-parameters" not in tags
            and cell["source"].strip()
        ):
            ran = cell.get("execution_count") is not None or bool(cell.get("outputs"))
            yield {
                "kind": "code",
                "lead": lead,
                "code": sanitise.code(cell["source"]),
                "ran": ran,
                "outputs": list(_outputs(cell)),
            }


def _without_title(source: str) -> str:
    head, _, rest = source.partition("\n")
    return rest if head.startswith("# ") else source


def _outputs(cell: Any) -> Iterator[dict[str, str]]:
    """`kind` (stream, error, html, picture), `body` (HTML or a data URI), and an error's `name` and `message`."""
    for out in cell.get("outputs", ()):
        if out["output_type"] == "stream":
            yield {"kind": "stream", "body": sanitise.terminal(_joined(out["text"]))}
        elif out["output_type"] == "error":
            trace = sanitise.terminal("\n".join(out["traceback"]))
            yield {"kind": "error", "name": out["ename"], "message": out["evalue"], "body": trace}
        else:
            yield _shown_data(out["data"])


def _shown_data(data: dict[str, Any]) -> dict[str, str]:
    """The richest form that is safe to show."""
    for mime in ("image/png", "image/jpeg", "image/gif"):
        if mime in data and "text/html" not in data:
            return {
                "kind": "picture",
                "body": f"data:{mime};base64,{_joined(data[mime]).replace(chr(10), '')}",
            }
    if "text/html" in data:
        return {"kind": "html", "body": sanitise.clean_html(_joined(data["text/html"]))}
    if "image/svg+xml" in data:  # as a picture, an SVG runs nothing and loads nothing
        svg = base64.b64encode(_joined(data["image/svg+xml"]).encode()).decode()
        return {"kind": "picture", "body": f"data:image/svg+xml;base64,{svg}"}
    if "text/markdown" in data:
        return {"kind": "html", "body": sanitise.markdown(_joined(data["text/markdown"]))}
    return {"kind": "stream", "body": sanitise.terminal(_joined(data.get("text/plain", "")))}


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


def title(nb: Any) -> str:
    """The first heading of a notebook."""
    return next(filter(None, (_heading(cell) for cell in nb["cells"])), "")


def section(nb: Any, index: int) -> str:
    """The last heading at or before a cell."""
    return next(filter(None, (_heading(cell) for cell in reversed(nb["cells"][: index + 1]))), "")


def _heading(cell: Any) -> str:
    found = (
        re.findall(r"^#+ +(.+?)\s*$", cell["source"], re.M)
        if cell["cell_type"] == "markdown"
        else []
    )
    return str(found[-1]) if found else ""
