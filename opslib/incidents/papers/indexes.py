"""The first page of an export: what happened, and the way to every file; nothing is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup

from opslib.incidents.incidents import Incident
from opslib.incidents.timelines import Timeline
from opslib.pages import pages, sanitise
from opslib.records import records
from opslib.records.records import Record

_LINK = re.compile(r"\[([^\]]*)\]\(\.\./\.\./(\d{4}/\d\d/[\w-]+\.html)\)")


def page(
    incident: Incident,
    made: Timeline,
    found: Sequence[Record],
    post_mortem: str,
    left_out: Sequence[str],
) -> str:
    """HTML of its own policy: no script, nothing from elsewhere; all that is shown is escaped."""
    there = {record.id for record in found}
    return str(
        pages.template("incident.html").render(
            incident=incident,
            rows=made.rows,
            unseen=made.unseen,
            records=found,
            there=there,
            page=lambda id: f"records/{records.place(id).with_suffix('.html').as_posix()}",
            post_mortem=_shown(post_mortem),
            left_out=left_out,
            **pages.style(),
        )
    )


def _shown(markdown: str) -> Markup:
    """Markdown as HTML; links go nowhere, so the names of records stand without theirs."""
    return sanitise.markdown(_LINK.sub(r"\1", markdown))
