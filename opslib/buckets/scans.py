"""A scan for orphans: the objects under a prefix, compared with the keys that a table has.

Keys are compared like with like: the bucket's without the prefix, the table's as they are. An
object that a row names in another way of writing keys is no orphan; when there are many of these,
the comparison is wrong.
"""

import re
from collections import Counter
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import unquote

from opslib.buckets.derived import Rows
from opslib.core import Connection, Facts, Frame, OpsError, dtypes, frame, quoted, sql
from opslib.core.reads.stores.objects import list_objects

ORPHANS = dtypes("""
    group      str
    key        str
    size_bytes int64
    modified   utc
    age_hours  float64
    etag       str
""")
FEW = 0.1  # of them may be otherwise than expected
_ROW_LIMIT = 2_000_000
_YOUNG_HOURS = 24  # an upload comes before its row

DECLARED = "without the prefix"


def _forms(key: str, bare: str) -> dict[str, str]:
    """Ways in which a table may write a key; `bare`: without the prefix, as the target's file says.

    That is the first.
    """
    return {
        DECLARED: bare,
        "with the prefix": key,
        "with a leading slash": f"/{bare}",
        "the file's name only": key.rsplit("/", 1)[-1],
        "URL-decoded": unquote(bare),
        "in lower case": bare.lower(),
    }


class Scan(NamedTuple):
    """What a scan saw.

    Every object under the prefix, the rows' keys, and which objects no row names. `otherwise`:
    objects that have a row only when its key is taken to be written in another `form`.
    """

    kind: str
    bucket: str
    prefix: str
    table: str
    objects: Frame  # OBJECTS
    rows: int
    orphans: Frame  # ORPHANS: no row names them, however its key is written
    otherwise: int = 0
    form: str = ""
    derived: int = 0  # made from an object that has a row, as the target's file describes
    related: tuple[str, ...] = ()  # without a row, but named as if made from one that has a row
    likely: tuple[str, ...] = ()  # the patterns by which they look so, the commonest first
    lost: tuple[str, ...] = ()  # keys of rows whose object is not there, however they are written

    @property
    def miscompared(self) -> bool:
        """Are the keys compared wrongly? Some leftovers of an older form are not yet that."""
        return self.otherwise > FEW * (self.otherwise + len(self.orphans))

    @property
    def undescribed(self) -> bool:
        """Do so many look derived from others that what has no row cannot be told from here?"""
        return len(self.related) > FEW * (len(self.related) + len(self.orphans))

    @property
    def share(self) -> float:
        """Orphans among all objects under the prefix, in percent."""
        return 100 * len(self.orphans) / max(1, len(self.objects))

    @property
    def old(self) -> Frame:
        """The orphans that are not just about to get their row."""
        return self.orphans[self.orphans["age_hours"] >= _YOUNG_HOURS]

    @property
    def young(self) -> int:
        return len(self.orphans) - len(self.old)

    def __str__(self) -> str:
        return (
            f"{len(self.orphans):,} of {len(self.objects):,} objects ({self.share:.1f} %), "
            f"{megabytes(self.orphans)}, have no row among the {self.rows:,} of {self.table}"
        )


def megabytes(objects: Frame) -> str:
    return f"{objects['size_bytes'].sum() / 1e6:,.1f} MB"


def scan(ops: Connection, kind: str) -> Scan:
    """List the kind's prefix, every page, and compare with the keys in its table. Changes nothing.

    The rows are read after the objects: an upload in between then has its row, and is no orphan.
    """
    facts = ops.target["orphans"][kind]
    bucket, prefix = ops.target["buckets"][facts["bucket"]]["name"], facts["prefix"]
    objects = list_objects(ops, bucket, prefix)
    objects = objects[objects["key"] != prefix]  # the console's "folder"
    own = _table_keys(ops, facts)
    below, theirs = _of_other_kinds(ops, facts)
    keys = own | theirs
    objects = objects[~objects["key"].map(lambda key: key.startswith(below)).astype(bool)]
    named = [(key, key.removeprefix(prefix)) for key in objects["key"]]
    # The form in which a row names an object; empty when none does.
    forms = objects["key"].map(
        {
            key: next((name for name, said in _forms(key, bare).items() if said in keys), "")
            for key, bare in named
        }
    )
    nameless = objects[forms == ""]
    there = {said for key, bare in named for said in _forms(key, bare).values()}
    rows, bare = Rows(keys, prefix), nameless["key"].str.removeprefix(prefix)
    patterns = facts.get("derived")
    of_pattern = bare.map(lambda key: rows.fits(key, patterns or ())).astype(bool)
    nameless, bare = nameless[~of_pattern], bare[~of_pattern]
    alike = bare.map(rows.likeness).astype(str)
    originals = rows.around(bare[alike == ""])
    related = (alike != "") | bare.isin(originals)
    orphans = nameless[~related].assign(
        group=lambda found: found["key"].map(lambda key: group(key, prefix)),
        age_hours=lambda found: ((ops.now() - found["modified"]) / timedelta(hours=1)).round(1),
    )
    written = Counter(form for form in forms if form not in ("", DECLARED))
    likely = Counter(pattern for pattern in alike if pattern)
    return Scan(
        kind,
        bucket,
        prefix,
        facts["table"],
        objects,
        len(own),
        frame(orphans.sort_values("key").to_dict("records"), ORPHANS),
        written.total(),
        max(written, key=written.__getitem__, default=""),
        int(of_pattern.sum()),
        tuple(nameless["key"][related]),
        tuple(pattern for pattern, _ in likely.most_common(3)),
        tuple(sorted(own - there)),
    )


def _of_other_kinds(ops: Connection, facts: Facts) -> tuple[tuple[str, ...], set[str]]:
    """What the target gives to other kinds: prefixes below this one, whose objects are theirs; and
    keys below this one that their tables name, whose prefix is the same, or one above it.
    """
    prefix, below, named = facts["prefix"], list[str](), set[str]()
    for of in ops.target["orphans"].values():
        if of is facts or of["bucket"] != facts["bucket"]:
            continue
        if prefix.startswith(of["prefix"]):
            named |= {of["prefix"] + key for key in _table_keys(ops, of)}
        elif of["prefix"].startswith(prefix):
            below.append(of["prefix"])
    return tuple(below), {key.removeprefix(prefix) for key in named if key.startswith(prefix)}


def _table_keys(ops: Connection, facts: Facts) -> set[str]:
    column, table = quoted(facts["column"]), quoted(facts["table"])
    statement = f"SELECT {column}::text AS key FROM {table} WHERE {column} IS NOT NULL"
    found = sql.ask(ops, statement, limit=_ROW_LIMIT)
    if len(found) >= _ROW_LIMIT:
        raise OpsError(
            f"{facts['table']} has more than {_ROW_LIMIT:,} keys: too many to compare here."
        )
    return set(found["key"])


def group(key: str, prefix: str) -> str:
    """What an object belongs to.

    The first part of its path under the prefix, or its name up to the first `_`.
    """
    return re.split(r"/|_", key.removeprefix(prefix), maxsplit=1)[0]
