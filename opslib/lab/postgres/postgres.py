"""Real PostgreSQL for the lab: one server on a loopback port, TCP with SCRAM, without fsync.

Its databases and roles.

Recovery is real as well: the untouched database cluster is kept as it was made, and the write-ahead
log from then on.
A database as of a time is had by replaying the log up to that time on a copy, which runs for a
moment. A standby is a
second server that follows this one by streaming replication.
"""

import os
import shlex
import subprocess
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from opslib.core.errors import OpsError
from opslib.lab.postgres.programs import SUPERUSER, Programs, Server

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "300",
    "scram_iterations": "1",  # a guess at a practice password may cost little; a login, too
    "wal_keep_size": "8GB",  # the log is kept while the lab lives
    "autovacuum_max_workers": "1",
    "io_method": "sync",
    "shared_preload_libraries": "pg_stat_statements",  # as RDS has it
    "pg_stat_statements.max": "1000",
    "timezone": "UTC",
    "log_line_prefix": "%m ",
    "listen_addresses": "127.0.0.1",
}
_RECOVERY_SECONDS = 60
_ALLOW = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")


class Postgres:
    """The lab's PostgreSQL, at home in the lab's folder. Not usable before start()."""

    def __init__(self, folder: Path, password: str) -> None:
        self.programs = Programs(folder)
        self.password = password
        self._seeded: dict[
            str, datetime
        ] = {}  # a database is recovered as of no earlier time than that
        self._server = Server(self.programs, self.home / "data", _SETTINGS, password)
        self._base = self.home / "base"  # what the write-ahead log is replayed on
        self._recovering = threading.Lock()
        self._standbys: dict[str, Server] = {}

    @property
    def home(self) -> Path:
        return self.programs.home

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def pid(self) -> int | None:
        return self._server.pid

    def start(self) -> None:
        """Makes the database cluster, keeps a copy of it for recoveries, and starts the server."""
        self.programs.make(self._server.data)
        secret = self.home / "superuser"
        self.programs.write(secret, self.password)
        self.programs.run(
            self.programs.path("initdb"),
            "-D",
            str(self._server.data),
            "-U",
            SUPERUSER,
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            f"--set=scram_iterations={_SETTINGS['scram_iterations']}",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            "--wal-segsize=1",
        )
        self.programs.remove(secret)
        self.programs.copy(self._server.data, self._base)
        self._server.start()

    def stop(self) -> None:
        """Ends the server and its standbys at once and removes its folder."""
        self._remove_standbys()
        self._server.stop()
        self.programs.remove_home()

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A superuser's connection, autocommit."""
        return self._server.connect(database)

    def url(self, database: str, role: str = SUPERUSER, password: str | None = None) -> str:
        return self._server.url(database, role, password)

    def databases(self) -> list[str]:
        """The databases that the lab made, by name."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> "
                "'postgres' ORDER BY 1"
            )
            return [row[0] for row in rows]

    def mark_seeded(self) -> None:
        """What the databases hold that were made since the last mark is how each of them begins."""
        now = datetime.now(UTC)
        self._seeded = dict.fromkeys(self.databases(), now) | self._seeded

    def has_role(self, name: str) -> bool:
        with self.connect() as connection:
            return (
                connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
                is not None
            )

    def create_role(self, name: str, password: str) -> None:
        """A role that may log in; its password is set anew when it is there already."""
        given = sql.Identifier(name), sql.Literal(password)
        with self.connect() as connection:
            try:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(*given))
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(*given))

    def create_database(self, name: str, owner: str = SUPERUSER) -> None:
        # File copy: a small record in the write-ahead log instead of all blocks, which a recovery
        # would replay.
        self._do("CREATE DATABASE {} OWNER {} STRATEGY file_copy", name, owner)

    def copy_database(self, source: str, name: str, owner: str) -> None:
        """A new database with all that another holds; sessions in the source are left alone."""
        self._load(self._server, source, name, owner)

    def recover_database(self, source: str, at: datetime, name: str, owner: str) -> None:
        """A new database with all that another held at a time (no earlier than it was seeded),
        also when it is gone now.

        Raises OpsError when there was no such database then.
        """
        with self._recovering:
            server = self._recovered(max(at, self._seeded.get(source, at)))
            try:
                with (
                    server.connect() as connection
                ):  # it may have been closed to clients at that time
                    connection.execute(_ALLOW.format(sql.Identifier(source), sql.Literal(True)))
                self._load(server, source, name, owner)
            except psycopg.errors.InvalidCatalogName as exc:
                raise OpsError(
                    f"Database {source!r} did not exist at {at:%Y-%m-%d %H:%M:%S} UTC."
                ) from exc
            finally:
                server.remove()

    def add_standby(self, name: str) -> Server:
        """A server of its own port that holds what this one holds, follows it,
        and refuses to change anything.
        """
        data = self.home / f"standby-{name}"
        self.programs.make(data)
        self.programs.run(
            self.programs.path("pg_basebackup"),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            SUPERUSER,
            "-D",
            str(data),
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-sync",
            password=self.password,
        )
        self.programs.write(data / "standby.signal", "")
        source = (
            f"host=127.0.0.1 port={self.port} user={SUPERUSER} password={self.password} "
            f"application_name={name}"
        )
        server = Server(
            self.programs, data, {**_SETTINGS, "primary_conninfo": source}, self.password
        )
        self._standbys[name] = server
        server.start()
        return server

    def standby(self, name: str) -> Server | None:
        return self._standbys.get(name)

    def remove_standby(self, name: str) -> None:
        """Ends a standby; not there is fine."""
        server = self._standbys.pop(name, None)
        if server is not None:
            server.remove()

    def split_standby(self, name: str, source: str, to: str, owner: str) -> None:
        """What a standby's database holds becomes a database of ours, and the standby ends."""
        self._load(self._standbys[name], source, to, owner)
        self.remove_standby(name)

    def _remove_standbys(self) -> None:
        for name in list(self._standbys):
            self.remove_standby(name)

    def limit_connections(self, name: str, most: int) -> None:
        """How many sessions of ordinary roles a database takes; -1: any number."""
        self._do(f"ALTER DATABASE {{}} CONNECTION LIMIT {int(most)}", name)

    def allow_connections(self, name: str, allowed: bool) -> None:
        """Lets clients log in to a database, or ends their sessions and refuses new ones."""
        with self.connect() as connection:
            connection.execute(_ALLOW.format(sql.Identifier(name), sql.Literal(allowed)))
            if not allowed:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [name],
                )

    def drop_database(self, name: str) -> None:
        """Drops a database and ends the sessions in it; not there is fine."""
        self._do(
            "SELECT pg_current_xact_id()"
        )  # else a recovery as of just before finds it half dropped
        self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def clear(self) -> None:
        """Everything anew: no databases, no roles, a new log. The port stays."""
        with self._recovering:
            self._forget_kept()
            self._refill()
            self._seeded.clear()

    def keep(self) -> None:
        """All that is there now is what put_back() returns to. Ends every session."""
        with self._recovering:
            self._remove_standbys()
            self._server.stop(in_order=True)
            self._forget_kept()
            self._base = self.home / "kept"
            self.programs.copy(self._server.data, self._base)
            self._server.start()
            self._mark_anew()

    def put_back(self) -> None:
        """All that was there at keep(), and a new log from then on. The port stays."""
        with self._recovering:
            self._refill()
            self._mark_anew()

    def _mark_anew(self) -> None:
        self._seeded.clear()
        self.mark_seeded()

    def _forget_kept(self) -> None:
        first = self.home / "base"
        if self._base != first:
            self.programs.remove(self._base)
            self._base = first

    def _refill(self) -> None:
        self._remove_standbys()
        self._server.stop()
        self.programs.remove(self._server.log)
        self.programs.put_back(self._base, self._server.data)
        self._server.start()

    def _do(self, statement: str, *names: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _load(self, server: Server, source: str, name: str, owner: str) -> None:
        """Dumps a database of a server into a new one of ours."""
        self.create_database(name, owner)
        dump = [
            self.programs.path("pg_dump"),
            "-h",
            "127.0.0.1",
            "-p",
            str(server.port),
            "-U",
            SUPERUSER,
            source,
        ]
        load = [
            self.programs.path("psql"),
            "-qX",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        environment = {**os.environ, "PGPASSWORD": self.password}
        with subprocess.Popen(
            dump, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as dumped:
            loaded = subprocess.run(
                [*load, "-U", SUPERUSER, "-d", name],
                stdin=dumped.stdout,
                capture_output=True,
                env=environment,
            )
            said = (dumped.stderr.read() if dumped.stderr else b"") + loaded.stderr
        if dumped.returncode or loaded.returncode:
            self.drop_database(name)
            raise OpsError(
                f"Copying database {source!r} failed: {said.decode(errors='replace').strip()}"
            )

    def _restore_command(self) -> str:
        """What PostgreSQL runs for each file of the log: %f and %p are its own, %% is a %."""
        folder = str(self._server.data / "pg_wal").replace("%", "%%")
        return f"cp {shlex.quote(folder)}/%f %p"

    def _recovered(self, at: datetime) -> Server:
        """A server on a copy of the first state, with the log replayed up to a time."""
        with (
            self.connect() as connection
        ):  # a commit after the time, so that the replay knows that it has passed it
            connection.execute("SELECT pg_current_xact_id()")
            connection.execute("SELECT pg_switch_wal()")
        data = self.home / f"recovery-{uuid.uuid4().hex[:8]}"
        self.programs.copy(self._base, data)
        self.programs.write(data / "recovery.signal", "")
        settings = {
            **_SETTINGS,
            "restore_command": self._restore_command(),
            "recovery_target_time": at.isoformat(),
            "recovery_target_action": "promote",
        }
        server = Server(self.programs, data, settings, self.password)
        server.start()
        end = time.monotonic() + _RECOVERY_SECONDS
        with server.connect() as connection:
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                if time.monotonic() > end:
                    raise OpsError(
                        f"Recovery did not reach {at:%Y-%m-%d %H:%M:%S} UTC. Log: {server.log}."
                    )
                time.sleep(0.02)
        return server
