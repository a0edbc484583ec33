"""The cells of a run as its page shows them: a finding stands once, what passed is folded."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from opslib.core import SEVERITY, Json
from opslib.core.findings import MIME
from opslib.pages import pictures

_NOT_SHOWN = {"injected-parameters", "papermill-error-cell-tag"}
_NEIGHBOUR = re.compile(r"\]\((?=[\w-]+\.ipynb\))")  # a link within the chapter
_NOTE_UNUSED = re.compile(r"\*Operator's note[^*\n]*\*")  # nobody wrote in it
_TABLE = re.compile(r'<table class="opslib-findings">.*?</table>', re.S)
_TRACE = re.compile(r"<details><summary>trace of: .*?</details>", re.S)


def shown(notebook: Any, counted: Sequence[Json]) -> list[Any]:
    """The cells that have something to say; the title is not said twice.

    `counted`: the findings that stand above the cells, each under its number.
    """
    above = {_key(f): number for number, f in enumerate(counted) if f.get("status") != "ok"}
    told, titled = [], False
    procedure = str(notebook["metadata"].get("opslib", {}).get("procedure", ""))
    beside = f"](../{procedure.partition('/')[0]}/"
    for cell in notebook["cells"]:
        tags, source = cell["metadata"].get("tags", ()), cell["source"]
        if cell["cell_type"] == "markdown":
            source = source if titled else re.sub(r"\A# .*\n?", "", source)
            source, titled = _NEIGHBOUR.sub(beside, source), True
        unused = _NOTE_UNUSED.fullmatch(source.strip())
        if source.strip() and not unused and not _NOT_SHOWN.intersection(tags):
            outputs = [_output(out, above) for out in cell.get("outputs", ())]
            more = {"source": source, "tags": tags, "lead": "lead" in tags}
            told.append({**cell, "outputs": outputs} | more)
    return told


def unshown(findings: Sequence[Json], cells: Sequence[Any]) -> list[Json]:
    """Those that passed and are in no cell."""
    there = {_key(f) for cell in cells for out in cell["outputs"] for f in out.get("passed", ())}
    return [f for f in findings if f.get("status") == "ok" and _key(f) not in there]


def counts(findings: Sequence[Json]) -> list[tuple[str, int]]:
    """How many of each status, the worst first."""
    counted = Counter(f.get("status", "unknown") for f in findings)
    return sorted(counted.items(), key=lambda each: -SEVERITY.get(each[0], 0))


def _key(finding: Json) -> tuple[Any, ...]:
    return tuple(finding.get(name) for name in ("status", "check", "seen"))


def _output(out: Any, above: dict[tuple[Any, ...], int]) -> Any:
    """An output, and what is known of it: `findings` told apart, a `verdict`, `panels`."""
    data = out.get("data") or {}
    ours = data.get(MIME)
    ours = ours if isinstance(ours, dict) else {}
    if "verdict" in ours:  # it is the page's headline
        return {**out, "verdict": True}
    if "image/png" in data and ("picture" in ours or "text/html" not in data):
        return {**out, "panels": pictures.panels(data, ours.get("picture"))}
    found = [f for f in ours.get("findings") or () if isinstance(f, dict)]
    if not found:
        return out
    bad = [f for f in found if f.get("status") != "ok"]
    html = _TRACE.sub("", _TABLE.sub("", str(data.get("text/html", "")), count=1))
    return {
        **out,
        "above": [(above[_key(f)], f) for f in bad if _key(f) in above],
        "before": [f for f in bad if _key(f) not in above],  # a change was made after it
        "passed": [f for f in found if f.get("status") == "ok"],
        "html": html,
    }
