"""Verbs about the database: connections, sessions, state, indexes, statements, rows."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from opslib.lab.forms.values import Duration
from opslib.lab.resources import names
from opslib.lab.resources.databases import rds
from opslib.lab.traffic import measures
from opslib.lab.verbs.verbs import Stage, Verb, verb


@verb("connections", "database", "metrics")
class Connections(Verb):
    """Really opens them: they are idle in pg_stat_activity, and the metric has climbed to them.

    share: of what the database takes, the app's own pool among them
    """

    share: float
    since: Duration = timedelta(minutes=25)
    climb: Duration = timedelta(minutes=20)

    def apply(self, stage: Stage) -> None:
        place = stage.place
        pool = place.memory["data"].database.pool
        wanted = int(place.facts["database"]["max_connections"] * self.share)
        opened: list[psycopg.Connection[Any]] = []
        overlays: list[Any] = []
        stage.kept = opened, overlays
        for _ in range(wanted - pool):
            opened.append(rds.connect(place))
        since = stage.ago(self.since)
        climbing = measures.climbing(since, self.climb, pool, wanted)
        for each in rds.dimensions(place):
            about = ("AWS/RDS", "DatabaseConnections", each, since, None)
            overlays.append(place.metrics.overlay(*about, climbing, "Count"))

    def undo(self, stage: Stage) -> None:
        opened, overlays = stage.kept
        for connection in opened:
            connection.close()
        for overlay in overlays:
            overlay.remove()


@verb("demand", "metrics")
class Demand(Verb):
    """The load asks for so much capacity; the cluster gives what its bounds allow, also new ones.

    acu: of each instance
    """

    acu: float
    since: Duration = timedelta(minutes=50)

    def apply(self, stage: Stage) -> None:
        place, since = stage.place, stage.ago(self.since)
        bounds = [(since.timestamp(), self._bounds(stage))]  # since when they are so
        overlays: list[Any] = []
        stage.kept = bounds, overlays

        def used(minute: float, of: float = 0) -> float:
            least, most = next((each for at, each in bounds[::-1] if at <= minute), bounds[0][1])
            given = min(max(self.acu, least), most)
            return of * given / most if of else given

        for each in rds.dimensions(place):
            for metric, of, unit in _CAPACITY:
                fn = partial(used, of=of)
                about = ("AWS/RDS", metric, each, since, None, fn, unit)
                overlays.append(place.metrics.overlay(*about))

    def _bounds(self, stage: Stage) -> tuple[float, float]:
        clusters = stage.place.backend("rds").clusters
        held = clusters[str(stage.place.facts["database"]["cluster"])]
        bounds = held.serverless_v2_scaling_configuration
        return bounds["MinCapacity"], bounds["MaxCapacity"]

    def tick(self, stage: Stage) -> None:
        bounds, now = stage.kept[0], self._bounds(stage)
        if now != bounds[-1][1]:
            bounds.append((stage.place.now().timestamp(), now))

    def undo(self, stage: Stage) -> None:
        for overlay in stage.kept[1]:
            overlay.remove()


_CAPACITY = (("ServerlessDatabaseCapacity", 0, "Count"), ("ACUUtilization", 100, "Percent"))


@verb("rotated", "secrets", "database")
class Rotated(Verb):
    """The database's password is of a while ago; the app's own pool has connected anew since."""

    since: Duration = timedelta(minutes=50)

    def apply(self, stage: Stage) -> None:
        place = stage.place
        secret = place.backend("secretsmanager").secrets[names.login_secret(place)]
        version = secret.versions[secret.default_version_id]
        stage.kept = version, version["createdate"]
        for connection in place.memory["pool connections"]:
            connection.close()
        version["createdate"] = int(stage.ago(self.since).timestamp())
        rds.keep_pool(place)

    def undo(self, stage: Stage) -> None:
        version, created = stage.kept
        version["createdate"] = created


@verb("sessions", "database")
class Sessions(Verb):
    """Sessions of a program, each in one long statement. `prepare` is executed before it.

    settle_s: they last already for so long when the drill is on
    """

    count: int
    application: str
    statement: str
    prepare: str = ""
    settle_s: float = 0

    def apply(self, stage: Stage) -> None:
        stage.kept = []
        for _ in range(self.count):
            connection = rds.connect(stage.place, self.application)
            stage.kept.append(connection)
            if self.prepare:
                connection.execute(self.prepare.encode())
            connection.pgconn.send_query(self.statement.encode())
        time.sleep(self.settle_s)

    def undo(self, stage: Stage) -> None:
        with stage.place.database("postgres") as server:
            for connection in stage.kept or ():
                ended = "SELECT pg_terminate_backend(%s, 2000)"
                server.execute(ended, [connection.info.backend_pid])
                connection.close()


@verb("stop", "rds", "database", "api")
class Stop(Verb):
    """RDS takes the instance out of service: logins are refused, the app's sessions end."""

    status: str = "storage-full"

    def apply(self, stage: Stage) -> None:
        place, instance = stage.place, self._instance(stage)
        stage.kept, instance.status = instance.status, self.status
        place.world.postgres.allow_connections(names.database(place), False)
        for connection in place.memory["pool connections"]:
            connection.close()

    def _instance(self, stage: Stage) -> Any:
        rds = stage.place.backend("rds")
        return rds.databases.get(str(stage.place.facts["database"]["instance"]))

    def holds(self, stage: Stage) -> bool:
        instance = self._instance(stage)
        return instance is not None and instance.status == self.status

    def undo(self, stage: Stage) -> None:
        if stage.kept and self.holds(stage):  # else somebody did something about it
            self._instance(stage).status = stage.kept
        stage.place.world.postgres.allow_connections(names.database(stage.place), True)
        rds.keep_pool(stage.place)


@verb("lose_snapshots", "rds")
class LoseSnapshots(Verb):
    """The automated snapshots of the cluster that were taken within these days are not there.

    days: so long ago, from and to
    """

    days: tuple[float, float]

    def apply(self, stage: Stage) -> None:
        held, (newest, oldest) = self._held(stage), self.days
        begin, end = (stage.ago(timedelta(days=each)) for each in (oldest, newest))
        taken = {name: each.created for name, each in held.items()}
        stage.kept = {name: held.pop(name) for name, at in taken.items() if begin < at < end}

    def undo(self, stage: Stage) -> None:
        self._held(stage).update(stage.kept or {})

    def _held(self, stage: Stage) -> dict[str, Any]:
        held: dict[str, Any] = stage.place.backend("rds").cluster_snapshots
        return held


@verb("drop_index", "database")
class DropIndex(Verb):
    """An index is gone until somebody makes one on the same columns."""

    schema: str
    index: str

    def apply(self, stage: Stage) -> None:
        with stage.place.database(names.database(stage.place)) as session:
            known = "SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND indexname = %s"
            row = session.execute(known, [self.schema, self.index]).fetchone()
            if row is None:
                raise LookupError(f"there is no index {self.schema}.{self.index}")
            stage.kept = str(row[0])
            dropped = sql.SQL("DROP INDEX {}").format(sql.Identifier(self.schema, self.index))
            session.execute(dropped)

    def holds(self, stage: Stage) -> bool:
        columns = stage.kept.partition(" USING ")[2]
        asked = "SELECT 1 FROM pg_indexes WHERE schemaname = %s AND right(indexdef, %s) = %s"
        given = [self.schema, len(columns), columns]
        with (
            suppress(psycopg.OperationalError),
            stage.place.database(names.database(stage.place)) as session,
        ):
            return session.execute(asked, given).fetchone() is None
        return True

    def undo(self, stage: Stage) -> None:
        if stage.kept:
            made = stage.kept.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS", 1)
            with stage.place.database(names.database(stage.place)) as session:
                session.execute(made.encode())


@verb("ask", "database")
class Ask(Verb):
    """The app asks something so many times, for the statistics. `{at}` goes up from 1 by `step`.

    statement: its name in statements.sql
    """

    statement: str
    given: list[str | int] = field(default_factory=list)
    times: int = 1
    step: int = 1

    def apply(self, stage: Stage) -> None:
        statement = stage.place.memory["statements"][self.statement].encode()
        with rds.connect(stage.place) as session:
            for number in range(self.times):
                at = 1 + number * self.step
                given = [x.format(at=at) if isinstance(x, str) else x for x in self.given]
                session.execute(statement, given)


@verb("execute", "database")
class Execute(Verb):
    """Statements that change rows or tables, and those that change them back."""

    does: str
    undoes: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, stage: Stage) -> None:
        self._execute(stage, self.does)

    def undo(self, stage: Stage) -> None:
        self._execute(stage, self.undoes)

    def _execute(self, stage: Stage, statement: str) -> None:
        with stage.place.database(names.database(stage.place)) as session:
            session.execute(statement.encode(), stage.filled(self.given))
