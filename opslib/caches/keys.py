"""Keys of the cache, by what the target's file calls them, and what the database has of them."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Question,
    UsageError,
    batched,
    caches,
    check,
    count,
    dtypes,
    few,
    frame,
    number,
)
from opslib.core.actions.stores.caches import is_stored, read_stored
from opslib.core.reads.stores.caches import find, raw, values

UNSYNCED = "usage-not-synced"
KEYS = dtypes("""
    key          str
    kind         str
    left_seconds Int64
    bytes        Int64
""")
COUNTS = dtypes("""
    keys    str
    pattern str
    many    int64
    all     bool
""")
STORED = dtypes("""
    key         str
    held        str
    stored      float64
    in_database bool
""")
_SHOWN = 1_000
_PART = 200
_LOOKED_AT, _LARGE, _ENDLESS = 20_000, 5e6, 100


def described(ops: Connection, keys: str) -> Json:
    """A kind of keys of the target's file. Raises UsageError with the nearest names."""
    found: Json = ops.target["cache"]["keys"][keys]
    return found


def pattern_of(ops: Connection, keys: str) -> str:
    """A name of the target's file, or a pattern of its own: with a `*`, `?` or `[`, or a `:`."""
    known = ops.target["cache"].get("keys", {})
    if keys in known or not any(sign in keys for sign in "*?[:"):
        return str(described(ops, keys)["pattern"])
    return keys


def find_keys(ops: Connection, keys: str, most: int = _SHOWN) -> Frame:
    """Keys of a name or pattern, how long they last (none: for ever), what they take. KEYS.

    SCAN, TYPE, TTL, MEMORY USAGE.
    """
    names, whole = find(ops, pattern_of(ops, keys), most)
    rows = []
    with caches.session(ops, f"TYPE, TTL, MEMORY USAGE of {len(names)} keys") as client:
        for some in batched(names, _PART):
            with client.pipeline(transaction=False) as pipe:
                for key in some:
                    pipe.type(raw(key)).ttl(raw(key)).memory_usage(raw(key))
                told = pipe.execute()
            for key, kind, left, size in zip(some, *(told[n::3] for n in range(3)), strict=True):
                if kind != b"none":  # it ended meanwhile
                    left_seconds = left if left >= 0 else None
                    rows.append((key, kind.decode(), left_seconds, size))
    if not whole:
        print(f"Only the first {len(names):,} keys are shown; there are more.", flush=True)
    return frame(rows, KEYS)


@check("How many keys are there of each kind, and what do they take?")
def check_keys(ops: Connection) -> Findings:
    """Counted by SCAN, for each kind that the target's file describes. Evidence: COUNTS.

    That there is none of a kind is no finding: what ought to be there is not known. Of all keys:
    whether one is very large, and whether some lack the end that others of their kind have.
    """
    rows, found, kinds = [], Findings(), ops.target["cache"].get("keys", {})
    for name, facts in kinds.items():
        names, whole = find(ops, facts["pattern"])
        rows.append((name, facts["pattern"], len(names), whole))
        asked = Question(f"keys {name}", "they can be counted", f"SCAN MATCH {facts['pattern']}")
        said = count(len(names), "key") + ("" if whole else " at least: the count was stopped")
        found.append(asked.ok(said))
    odd = _odd(find_keys(ops, "*", _LOOKED_AT), kinds)
    return Findings([*found, *odd], frame(rows, COUNTS))


def _odd(rows: Frame, kinds: Json) -> Iterator[Finding]:
    """Of one kind are keys that begin alike, up to the first colon; none stays of a kind that says
    `ends`.
    """
    asked = Question("large keys", f"none above {number(_LARGE, 'bytes')}", "SCAN, MEMORY USAGE")
    large = rows[rows["bytes"] > _LARGE].sort_values("bytes", ascending=False)
    said = [f"{row.key} ({row.kind}) {number(row.bytes, 'bytes')}" for row in large.itertuples()]
    seen = few(said, 3) or f"none of {count(len(rows), 'key')}"
    yield asked.judged(large.empty, seen, otherwise="warn", next="caches/clear")
    asked = Question("keys without an end", f"at most {_ENDLESS} of a kind that ends", "SCAN, TTL")
    ends = (
        rows["left_seconds"].notna().groupby(rows["key"].str.split(":").str[0]).agg(["sum", "size"])
    )
    endless = (ends["size"] - ends["sum"])[ends["sum"] > 0]
    left = [(name, each, ends["size"][name]) for name, each in endless.items() if each > _ENDLESS]
    for name, facts in kinds.items():
        if facts.get("ends"):
            named = [fnmatchcase(key, facts["pattern"]) for key in rows["key"]]
            mine = rows["left_seconds"][named].isna()
            left += [(name, mine.sum(), len(mine))] * bool(mine.any())
    said = [f"{name}: {each:,} of {of:,} stay for ever" for name, each, of in left]
    seen = few(said, 3) or f"none of {count(len(ends), 'kind')}"
    yield asked.judged(not left, seen, otherwise="warn", next="caches/clear")


@check("Has the database what the cache has counted?")
def check_stored(ops: Connection, keys: str) -> Findings:
    """Counters of a kind against what the database has of them. Evidence: STORED.

    The kind needs `stored` in the target's file: one of database.queries, which answers key and
    value. A counter may be ahead by what was counted since the last sync: at
    most by half of what such keys hold.
    """
    import pandas as pd

    rows = compare(ops, keys)
    ahead, held = rows[~rows["in_database"]], pd.to_numeric(rows["held"], errors="coerce")
    usual = held.groupby(rows["key"].str.split(":").str[:2].str.join(":")).transform("median")
    little = held - rows["stored"].fillna(0) <= usual / 2
    behind = ahead[~little[ahead.index]]
    asked = Question(f"{keys} in the database", "all that the cache has counted", "SCAN, SQL")
    if behind.empty:
        said = f"all of {count(len(rows), 'key')}" if len(rows) else "no such key is in the cache"
        said += f", but what {len(ahead):,} of them counted just now" * bool(len(ahead))
        return Findings(asked.ok(said, cause=UNSYNCED), rows)
    said = f"{len(behind):,} of {count(len(rows), 'key')} are ahead of the database, or not in it:"
    said += f" {', '.join(behind['key'][:3])}{' …' * (len(behind) > 3)}"
    answer = asked.warn(said, cause=UNSYNCED, next="caches/sync")
    return Findings(answer, rows)


def compare(ops: Connection, keys: str) -> Frame:
    """Each key of a kind, what it holds, what the database has. STORED. Raises UsageError."""
    facts = described(ops, keys)
    names, whole = find(ops, facts["pattern"])
    if not whole:
        raise UsageError(f"More than {len(names):,} keys {facts['pattern']}: compare a part of it.")
    stored = read_stored(ops, stored_sql(ops, keys))
    rows = [
        (key, value or "", stored.get(key), is_stored(value, stored.get(key)))
        for key, value in values(ops, names).items()
    ]
    return frame(rows, STORED)


def stored_sql(ops: Connection, keys: str) -> str:
    """The SQL that says what the database has of a kind of keys. Raises UsageError."""
    name = described(ops, keys).get("stored")
    known = ops.target["database"].get("queries", {})
    if name not in known:
        raise UsageError(
            f"cache.keys.{keys}.stored in parameters/targets/{ops.target.key}.yaml names no query "
            "of database.queries: what the database has of them is not known."
        )
    return str(known[name]["sql"])
