"""The first page of an export: what happened, and the way to every file; nothing is loaded."""

import base64
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from markupsafe import Markup

from opslib.incidents.incidents import Incident
from opslib.incidents.papers.sections import FOR_AUTHORS
from opslib.incidents.timelines import Timeline
from opslib.pages import pages, sanitise
from opslib.records import records
from opslib.records.records import Record

_TITLE = re.compile(r"\A# .*")  # the page has it already
_PICTURE = re.compile(r"^!\[(.*)\]\((metrics-[\w-]+\.png)\)$", re.MULTILINE)
_IMAGE = Markup(
    '<p class="wide" role="group" tabindex="0" aria-label="Plot">'
    '<img class="plot" alt="{}" src="data:image/png;base64,{}"></p>'
)
_TIMELINE = re.compile(r"^## Timeline\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def page(
    incident: Incident,
    made: Timeline,
    found: Sequence[Record],
    post_mortem: str,
    left_out: Sequence[str],
    pictures: Mapping[str, bytes],
    values: str,
) -> str:
    """HTML of its own policy: no script, nothing from elsewhere; all that is shown is escaped.

    `values`: where those of the pictures are.
    """
    place = {r.id: f"records/{records.place(r.id).with_suffix('.html').as_posix()}" for r in found}
    return str(
        pages.template("incident.html").render(
            incident=incident,
            rows=made.rows,
            unseen=made.unseen,
            records=found,
            place=place,
            post_mortem=Markup("").join(_shown(post_mortem, pictures, place)),
            left_out=left_out,
            values=values,
            **pages.style(),
        )
    )


def _shown(
    markdown: str, pictures: Mapping[str, bytes], place: Mapping[str, str]
) -> Iterator[Markup]:
    """The post-mortem as HTML, with its pictures in it, and records linked to their pages; without
    its timeline, which stands below with links.
    """
    own = _TITLE.sub("## Post-mortem", _TIMELINE.sub("", markdown)).replace(FOR_AUTHORS, "")
    texts = _PICTURE.split(own)  # text, words, name, text, words, name, text
    for text, words, name in zip_longest(*[iter(texts)] * 3, fillvalue=""):
        yield Markup(records.ID.sub(lambda hit: _linked(hit[0], place), sanitise.markdown(text)))
        if name in pictures:
            data = base64.b64encode(pictures[name]).decode()
            said = html.unescape(re.sub(r"`(.)`|\\(.)", r"\1\2", words))
            yield _IMAGE.format(said, data)


def _linked(id: str, place: Mapping[str, str]) -> str:
    return f'<a href="{place[id]}">{id}</a>' if id in place else id
