"""What PostgreSQL's catalogue is asked: for each fact its query, its thresholds and their source.

A row: name, value, from where on it is a warning or critical (NULL: never), words. Only odd ones.
"""

from __future__ import annotations

from typing import NamedTuple

from opslib.core import Question

_DOCS = "https://www.postgresql.org/docs/current/"


class Fact(NamedTuple):
    """`asked`: with its rule and the document that it is taken from. `advice`: what to do."""

    asked: Question
    sql: str
    advice: str = ""
    cause: str = ""
    next: str = ""


SEQUENCE_ENDS, INVALID_INDEX = "sequence-near-end", "index-invalid"  # causes that findings name

# Read by the login itself: what it may not see.
VISIBLE_SQL = """
SELECT current_user::text AS login,
       pg_has_role('pg_read_all_stats', 'USAGE') OR current_setting('is_superuser') = 'on'
           AS monitors,
       (SELECT count(*) FROM pg_sequences
        WHERE NOT has_sequence_privilege(format('%I.%I', schemaname, sequencename),
                                         'SELECT, USAGE')) AS hidden
"""

_XIDS = """
SELECT datname, {age}({oldest}),
       greatest(5e8, 1.25 * current_setting('{setting}')::float8),
       greatest(1e9, 1.5 * current_setting('{setting}')::float8),
       format('%s {what} old', to_char({age}({oldest}), 'FM9,999,999,999'))
       || CASE WHEN datname = current_database() THEN coalesce(
           (SELECT ', most of all table ' || c.oid::regclass FROM pg_class c
            WHERE c.relkind IN ('r', 'm', 't') ORDER BY {age}(c.{relation}) DESC LIMIT 1), '')
          ELSE '' END
FROM pg_database
"""

# The columns that a sequence fills, also where it is not owned by them; the smallest is the limit.
_SEQUENCES = """
SELECT format('%s.%s', s.schemaname, s.sequencename),
       round(100.0 * s.last_value / bounds.most, 1), 70, 90,
       format('at %s of %s (%s %%)%s', s.last_value, bounds.most,
              round(100.0 * s.last_value / bounds.most, 1),
              CASE WHEN filled.most < s.max_value THEN ', the end of its column '
                   || filled.name ELSE '' END)
FROM pg_sequences s
LEFT JOIN LATERAL (
    SELECT format('%s.%s', a.attrelid::regclass, a.attname) AS name,
           CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
           END::numeric AS most
    FROM pg_depend d
    LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
    JOIN pg_attribute a ON (a.attrelid, a.attnum) IN (
        SELECT d.refobjid, d.refobjsubid WHERE d.classid = 'pg_class'::regclass
        UNION ALL SELECT f.adrelid, f.adnum)
    WHERE a.atttypid IN ('int2'::regtype, 'int4'::regtype)
      AND format('%I.%I', s.schemaname, s.sequencename)::regclass = CASE d.classid
          WHEN 'pg_class'::regclass THEN d.objid ELSE d.refobjid END
      AND d.deptype IN ('a', 'i', 'n')
    ORDER BY 2 LIMIT 1
) filled ON true
CROSS JOIN LATERAL (SELECT CASE WHEN s.increment_by > 0
    THEN least(s.max_value, filled.most) ELSE greatest(s.min_value, -filled.most - 1) END AS most
) bounds
WHERE s.last_value IS NOT NULL AND NOT s.cycle AND bounds.most <> 0
  AND 100.0 * s.last_value / bounds.most > 50
"""

_DEAD_ROWS = """
SELECT format('%s.%s', s.schemaname, s.relname), s.n_dead_tup / due.rows, 2, NULL,
       format('%s dead rows beside %s, vacuum is due at %s; vacuumed last: %s%s',
              s.n_dead_tup, s.n_live_tup, round(due.rows),
              coalesce(to_char(last.vacuum, 'YYYY-MM-DD HH24:MI'), 'never'),
              CASE WHEN c.reloptions::text ~ 'autovacuum_enabled=(false|off|0|no)'
                   THEN '; autovacuum is off for it' ELSE '' END)
FROM pg_stat_user_tables s
JOIN pg_class c ON c.oid = s.relid
CROSS JOIN LATERAL (SELECT current_setting('autovacuum_vacuum_threshold')::float8
    + current_setting('autovacuum_vacuum_scale_factor')::float8
      * greatest(c.reltuples, s.n_live_tup) AS rows) due
CROSS JOIN LATERAL (SELECT greatest(s.last_vacuum, s.last_autovacuum) AS vacuum) last
WHERE s.n_dead_tup >= 10000 AND s.n_dead_tup > due.rows
  AND coalesce(last.vacuum < now() - interval '1 hour', true)
  AND s.relid NOT IN (SELECT relid FROM pg_stat_progress_vacuum)
"""

_VACUUMS = """
SELECT coalesce(p.relid::regclass::text, '?'),
       extract(epoch FROM clock_timestamp() - a.xact_start), 86400, NULL,
       format('%s since %s, %s of %s blocks', p.phase, to_char(a.xact_start, 'MM-DD HH24:MI'),
              p.heap_blks_scanned, p.heap_blks_total)
FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid)
WHERE p.datname = current_database()
"""

_INVALID = """
SELECT i.indexrelid::regclass, 1, 1, NULL,
       format('on %s%s: it answers nothing, and each write pays for it', i.indrelid::regclass,
              CASE WHEN i.indisunique THEN ', unique: not held' ELSE '' END)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND c.relkind = 'i'
  AND i.indexrelid NOT IN (SELECT index_relid FROM pg_stat_progress_create_index)
"""

_PREPARED = """
SELECT gid, extract(epoch FROM now() - prepared), 300, 3600,
       format('of %s since %s: its locks stay, vacuum is held back', owner,
              to_char(prepared, 'YYYY-MM-DD HH24:MI'))
FROM pg_prepared_xacts WHERE database = current_database()
"""

_SLOTS = """
SELECT slot_name, CASE WHEN wal_status = 'lost' THEN 1e13 ELSE coalesce(held.bytes, 0) END, 0, 1e10,
       format('inactive (%s), holds %s of WAL%s', coalesce(plugin, slot_type),
              pg_size_pretty(coalesce(held.bytes, 0)),
              CASE WHEN wal_status IN ('lost', 'unreserved') THEN '; its WAL: ' || wal_status END)
FROM pg_replication_slots
CROSS JOIN LATERAL (SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()
    THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn) AS bytes) held
WHERE NOT active AND NOT temporary AND coalesce(database, current_database()) = current_database()
"""

_REPLICAS = """
SELECT coalesce(nullif(application_name, ''), client_addr::text, 'replica'),
       coalesce(extract(epoch FROM replay_lag), 0), 30, 300,
       format('%s, replays what is %s s old', coalesce(state, 'state hidden'),
              round(coalesce(extract(epoch FROM replay_lag), 0)))
FROM pg_stat_replication WHERE coalesce(state, '') <> 'backup'
"""

_COUNTED = """
SELECT counted.what, counted.value, counted.warn, counted.critical,
       format('%s since %s', counted.shown, to_char(since.began, 'YYYY-MM-DD HH24:MI'))
FROM pg_stat_database s
CROSS JOIN LATERAL (SELECT coalesce(s.stats_reset, pg_postmaster_start_time()) AS began) since
CROSS JOIN LATERAL (SELECT greatest(1, extract(epoch FROM now() - since.began) / 3600) AS hours) t
CROSS JOIN LATERAL (VALUES {counted}) AS counted(what, value, warn, critical, shown)
WHERE s.datname = current_database() AND counted.value > 0
"""

# What RDS lets one set; fsync and the like are AWS's there.
_SETTINGS = """
SELECT name, 1, CASE WHEN bad THEN NULL ELSE 1 END, CASE WHEN bad THEN 1 END, said FROM (
    SELECT name, true AS bad, 'is ' || setting AS said FROM pg_settings
    WHERE (name, setting) IN (('autovacuum', 'off'), ('track_counts', 'off'),
        ('zero_damaged_pages', 'on'), ('ignore_checksum_failure', 'on'))
    UNION ALL SELECT name, false, 'waits for a restart' FROM pg_settings WHERE pending_restart
    UNION ALL SELECT kept.name, kept.bad,
        format(kept.said, coalesce('role ' || nullif(setrole, 0)::regrole, 'the database'))
    FROM pg_db_role_setting CROSS JOIN (VALUES
        ('default_transaction_read_only', true, 'on|true|yes|1', 'on for %s: writes are refused'),
        ('statement_timeout', false, '[1-9][0-9]{0,2}(ms)?([^0-9a-z]|$)', 'under a second for %s')
    ) AS kept(name, bad, form, said)
    WHERE lower(setconfig::text) ~ (kept.name || '=(' || kept.form || ')')
      AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND (setrole = 0 OR setrole IN (SELECT relowner FROM pg_class))
    UNION ALL SELECT 'autovacuum', false, 'is off for ' || oid::regclass FROM pg_class
    WHERE reloptions::text ~ 'autovacuum_enabled=(off|false|no|0)'
    UNION ALL SELECT 'privileges', true, 'its owner may not read ' || oid::regclass FROM pg_class
    WHERE relkind='r' AND relowner=current_user::regrole AND NOT has_table_privilege(oid, 'SELECT')
    UNION ALL SELECT 'recovery', true, 'it is a standby: it only reads' WHERE pg_is_in_recovery()
) AS settings(name, bad, said)
"""

_DISABLED = """
SELECT tgrelid::regclass, count(*), 1, NULL,
       'disabled: ' || string_agg(coalesce(c.conname, tgname), ', ' ORDER BY tgname)
FROM pg_trigger t LEFT JOIN pg_constraint c ON c.oid = t.tgconstraint
WHERE tgenabled = 'D' GROUP BY tgrelid
"""

_LOGINS = """
SELECT rolname, -extract(epoch FROM rolvaliduntil - now()) / 86400, -14, -1,
       'its password is valid until ' || to_char(rolvaliduntil, 'YYYY-MM-DD HH24:MI')
FROM pg_roles r
WHERE rolcanlogin AND isfinite(rolvaliduntil) AND rolvaliduntil < now() + interval '30 days'
  AND (rolname = current_user OR oid IN (SELECT relowner FROM pg_class)
       OR oid IN (SELECT usesysid FROM pg_stat_activity WHERE datname = current_database()))
"""


def _xids(age: str, oldest: str, relation: str, setting: str, what: str) -> str:
    return _XIDS.format(age=age, oldest=oldest, relation=relation, setting=setting, what=what)


def _counted(row: str) -> str:
    return _COUNTED.format(counted=row)


_WRAPS = "warn at 500 million or 1.25 of {}, critical at 1,000 million or 1.5 of it"
_VACUUM_DOCS = f"{_DOCS}routine-vacuuming.html"
_STATS_DOCS = f"{_DOCS}monitoring-stats.html"
FACTS = {
    "xids": Fact(
        Question("transaction ids", _WRAPS.format("autovacuum_freeze_max_age"), _VACUUM_DOCS),
        _xids("age", "datfrozenxid", "relfrozenxid", "autovacuum_freeze_max_age", "transactions"),
        "At 2,147 million the database takes no writes: VACUUM FREEZE the table, and end what "
        "holds vacuum back (old transactions, prepared ones, slots).",
    ),
    "multixacts": Fact(
        Question("multixact ids", _WRAPS.format("its freeze_max_age"), _VACUUM_DOCS),
        _xids("mxid_age", "datminmxid", "relminmxid", "autovacuum_multixact_freeze_max_age", "ids"),
        "VACUUM FREEZE the table.",
    ),
    "dead_rows": Fact(
        Question("dead rows", "fewer than twice what autovacuum allows", _VACUUM_DOCS),
        _DEAD_ROWS,
        "VACUUM the table; see what holds autovacuum back.",
    ),
    "vacuums": Fact(Question("vacuum under way", "less than a day", _STATS_DOCS), _VACUUMS),
    "sequences": Fact(
        Question("sequences", "warn at 70 %, critical at 90 %", f"{_DOCS}sql-createsequence.html"),
        _SEQUENCES,
        "At its end each insert fails: the column has to become bigint (ALTER TABLE rewrites it), "
        "or the sequence's own end be raised.",
        SEQUENCE_ENDS,
        "databases/migrate",
    ),
    "invalid_indexes": Fact(
        Question("invalid indexes", "none", f"{_DOCS}sql-createindex.html"),
        _INVALID,
        "CREATE INDEX CONCURRENTLY broke off: DROP INDEX CONCURRENTLY, then make it again.",
        INVALID_INDEX,
        "databases/migrate",
    ),
    "prepared": Fact(
        Question(
            "prepared transactions",
            "none for over 5 minutes, critical over an hour",
            f"{_DOCS}sql-prepare-transaction.html",
        ),
        _PREPARED,
        "Ask its owner, then ROLLBACK PREPARED or COMMIT PREPARED.",
    ),
    "slots": Fact(
        Question(
            "replication slots",
            "all in use, critical at 10 GB",
            f"{_DOCS}view-pg-replication-slots.html",
        ),
        _SLOTS,
        "The disk fills with WAL: start its consumer, or drop the slot when nobody reads it.",
        next="databases/storage",
    ),
    "replicas": Fact(
        Question("replicas", "at most 30 s behind, critical over 300 s", _STATS_DOCS),
        _REPLICAS,
        "What is read there is old.",
        next="databases/replica",
    ),
    "checksums": Fact(
        Question("data checksums", "no failure", f"{_DOCS}checksums.html"),
        _counted(
            "('this database', coalesce(s.checksum_failures, 0), NULL::float8, 1::float8, "
            "format('%s pages were read that are damaged', s.checksum_failures))"
        ),
        "Data is damaged: restore beside, and compare.",
        next="databases/restore",
    ),
    "waste": Fact(
        Question(
            "deadlocks, temporary files", "below 1 deadlock, 10 GB of files an hour", _STATS_DOCS
        ),
        _counted(
            "('deadlocks', s.deadlocks / t.hours, 1::float8, NULL::float8, "
            "format('%s', s.deadlocks)), "
            "('temporary files', s.temp_bytes / t.hours, 1e10, NULL, pg_size_pretty(s.temp_bytes))"
        ),
        "Deadlocks: what takes locks in another order is in PostgreSQL's log. Files: sorts that "
        "do not fit into work_mem.",
    ),
    "settings": Fact(
        Question("settings", "safe, and in force", f"{_DOCS}runtime-config.html"), _SETTINGS
    ),
    "disabled": Fact(
        Question("triggers", "none is disabled", f"{_DOCS}sql-altertable.html"),
        _DISABLED,
        "What they hold is not held: ALTER TABLE … ENABLE TRIGGER.",
    ),
    "logins": Fact(
        Question(
            "passwords that end",
            "warn 14 days before, critical a day",
            f"{_DOCS}sql-createrole.html",
        ),
        _LOGINS,
        "ALTER ROLE … VALID UNTIL.",
    ),
}
