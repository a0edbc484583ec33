"""Some rows of a table, the same ones each time: are the objects there that they name?"""

from functools import partial

from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import ask, quoted
from opslib.core.errors import NotFound
from opslib.core.findings import Finding, Question
from opslib.core.reads.stores.objects import exists
from opslib.core.tables import Json
from opslib.core.text import count

GONE = "objects-gone"
_CALLS = 60  # HeadObject, of a check
_PAGES = 500  # of a larger table so many all over it are read
_FEW = 0.1  # of a sample; more is no row that outlived its object


def sampled(
    ops: Connection,
    named: str,
    of: Json,
    share: int,
    where: str = "true",
    given: Json | None = None,
) -> Finding:
    """Rows of `table`, and the object in `bucket` that `column` names: is it there, with bytes?

    `of`: these, and the `prefix` that stands before what a row says. `share`: the number of such
    checks, which have the calls together (SQL, S3 HeadObject).
    """
    bucket = ops.target["buckets"][of["bucket"]]["name"]
    table, column, prefix = quoted(of["table"]), quoted(of["column"]), of.get("prefix", "")
    text = "SELECT relpages FROM pg_class WHERE oid = to_regclass(:name) AND relkind IN ('r', 'm')"
    pages = max(ask(ops, text, {"name": table})["relpages"], default=0)
    part = 100 * _PAGES / max(pages, _PAGES)
    some = f" TABLESAMPLE SYSTEM ({part:.4f}) REPEATABLE (1)" if part < 100 else ""
    text = f"SELECT {column} AS key FROM {table}{some} WHERE {column} LIKE '_%' AND {where}"
    text += f" ORDER BY md5({column}) LIMIT {_CALLS // share}"
    rows = [key for key in ask(ops, text, given)["key"] if "://" not in key]
    slash = "/" if all(key.startswith("/") for key in rows) else ""  # else those name nothing
    keys = [key if key.startswith(prefix) else prefix + key.removeprefix(slash) for key in rows]
    sizes = ops.each(partial(size_of, ops, bucket), keys)
    asked = Question(named, f"in {bucket}", f"s3 HeadObject of {count(len(sizes), 'row')}")
    lost = [[key for key, size in sizes.items() if size == of] for of in (None, 0)]
    if lost[0] and not exists(ops, bucket):
        return asked.unknown("no such bucket")  # of which others tell
    said = [
        f"{len(found)} of {len(sizes)} {what}{': ' * bool(found)}{', '.join(found[:3])}"
        for what, found in zip(("are not there", "have no bytes"), lost, strict=True)
    ]
    many = len(lost[0] + lost[1]) > _FEW * len(sizes)
    seen = "; ".join(said[: 2 if lost[1] else 1])
    worst = "critical" if many else "warn"
    return asked.judged(not any(lost), seen, otherwise=worst, cause=GONE, next="buckets/restore")


def size_of(ops: Connection, bucket: str, key: str) -> int | None:
    """Bytes of an object; None: it is not there (S3 says so only to who may list the bucket)."""
    try:
        return int(ops.call("s3", "head_object", Bucket=bucket, Key=key)["ContentLength"])
    except NotFound:
        return None
