"""Texts of SQL as far as it takes to tell a read from a change: what is keyword and what is in quotes."""

from __future__ import annotations

import re

_QUOTED = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
  | (?P<literal> \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
  | (?P<name> "(?:[^"]|"")*" )
    """,
    re.S | re.X,
)
_READS = ("select", "with", "values", "table")
# What acts at once and outside of the transaction, so that read-only does not hold it back, nor does a rollback.
_ACTS = re.compile(
    r"""\b(
        pg_(?:cancel|terminate)_backend | pg_reload_conf | pg_rotate_logfile\w* | pg_log_backend_memory_contexts
      | pg_stat_reset\w* | pg_stat_statements_reset | pg_stat_clear_snapshot | pg_stat_force_next_flush
      | pg_switch_wal | pg_create_\w+ | pg_drop_\w+ | pg_copy_\w*slot | pg_replication_\w+ | pg_logical_\w+ | pg_promote
      | pg_backup_st\w+ | pg_wal_replay_\w+ | pg_sync_replication_slots | pg_(?:try_)?advisory_\w+ | pg_export_snapshot
      | pg_notify | pg_file_\w+ | lo_\w+ | dblink\w* | set_config
      | aws_lambda\s*\.\s*"?\w+ | aws_s3\s*\.\s*"?\w+ | aws_commons\s*\.\s*"?\w+
    )"?\s*\(""",
    re.I | re.X,
)


def keywords(sql: str) -> str:
    """The text with comments, literals and quoted names blanked out, at the same places."""
    return _QUOTED.sub(_blank, sql)


def _blank(hit: re.Match[str]) -> str:
    return " " * len(hit.group()) if hit["comment"] else "_" * len(hit.group())


def outermost(sql: str) -> str:
    """The text with that blanked out too which is in parentheses."""
    depth, kept = 0, []
    for sign in keywords(sql):
        depth -= sign == ")"
        kept.append(" " if depth > 0 or sign in "()" else sign)
        depth += sign == "("
    return "".join(kept)


def is_read(sql: str) -> bool:
    """Whether it begins as something that answers rows: SELECT, WITH, VALUES, TABLE."""
    return bool(re.match(rf"[\s(]*(?:{'|'.join(_READS)})\b", keywords(sql), re.I))


def acts(sql: str) -> str:
    """The function in it that acts although the session is read-only; empty when none is known to."""
    plain = _QUOTED.sub(lambda hit: hit.group() if hit["name"] else " " * len(hit.group()), sql)
    hit = _ACTS.search(plain)
    return hit[1].replace('"', "") if hit else ""


def clauses(sql: str, words: tuple[str, ...]) -> dict[str, str]:
    """The outermost clauses of a statement, each by the keyword that it begins with; the head is under ""."""
    found = list(re.finditer(rf"\b(?:{'|'.join(words)})\b", outermost(sql), re.I))
    starts = [0, *(hit.end() for hit in found)]
    ends = [*(hit.start() for hit in found), len(sql)]
    names = ["", *(hit.group().upper() for hit in found)]
    return {
        name: sql[start:end].strip() for name, start, end in zip(names, starts, ends, strict=True)
    }
