"""A real server of Redis's protocol: what is taken away, what is left, who is held off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from opslib import OpsError, Refused, UsageError, apply, caches, connect
from opslib.caches import health, throttles
from opslib.core.actions.stores.caches import Restore, Unlink
from opslib.core.connections import caches as sessions
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import LoginRefused, Lost, NotAllowed, Unfinished
from opslib.core.reads.stores.caches import find
from tests.conftest import PracticeLab
from tests.undoing import confirmed, undo_last

PLACE = "ai-studio-production"
TARGET = f"lab/{PLACE}"
ADA, THROTTLED = "5e5a0000-0000-4000-8000-000000000001", "5e5a0000-0000-4000-8000-000000000003"


pytestmark = pytest.mark.usefixtures("records_folder")


@pytest.fixture
def ops(lab: PracticeLab) -> Connection:
    return connect(TARGET)


@pytest.fixture
def client(ops: Connection) -> Iterator[Any]:
    with sessions.session(ops, "a test") as held:
        yield held


def applied(ops: Connection, plan: Any) -> Any:
    return apply(ops, plan, "now", confirmed(ops.target.name))


def keys(ops: Connection, pattern: str) -> set[str]:
    return set(find(ops, pattern)[0])


@pytest.mark.slow
def test_keys_are_taken_away_by_pattern_and_what_came_since_is_left(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    for number in range(1_300):
        client.set(f"try:{number}", "x")
    plan = caches.plan_clear(ops, "try:*")
    assert len(plan.steps) == 3
    assert not plan.reversible
    client.set("trying", "x")
    others = keys(ops, "*") - keys(ops, "try:*")
    applied(ops, plan)
    assert keys(ops, "*") == others


def test_usage_that_the_database_has_goes_and_comes_back_with_the_time_it_had(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    before = {key: (client.get(key), client.expiretime(key)) for key in keys(ops, "usage:*")}
    assert len(before) > 40
    applied(ops, caches.plan_clear(ops, "usage"))
    assert keys(ops, "usage:*") == set()
    undo_last(ops)
    after = {key: (client.get(key), client.expiretime(key)) for key in keys(ops, "usage:*")}
    assert {key: held for key, (held, _) in after.items()} == {k: v for k, (v, _) in before.items()}
    assert all(abs(after[key][1] - ends) < 60 for key, (_, ends) in before.items())


@pytest.mark.slow
def test_usage_that_is_not_in_the_database_is_not_taken_but_written_there_first(
    clean: dict[str, Any], lab: PracticeLab, ops: Connection
) -> None:
    with lab.broken("usage-not-synced", PLACE):
        for pattern in ("usage", "usage:*", "*"):
            with pytest.raises(Refused, match=r"(database has not|may not be in the database)"):
                caches.plan_clear(ops, pattern)
        applied(ops, caches.plan_sync(ops, "usage"))
        assert {f.status for f in caches.check_stored(ops, "usage")} == {"ok"}
        asked = "SELECT max(amount) FROM usage WHERE user_id = :user AND kind = 'tokens'"
        assert sql.value(ops, asked, {"user": ADA}) == 91_250
        applied(ops, caches.plan_clear(ops, "usage"))
        assert keys(ops, "usage:*") == set()


@pytest.mark.slow
def test_one_counter_that_the_database_does_not_take_holds_the_others_up_no_more(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    today = ops.now().date()
    for odd in ("usage:tokens:nobody:2026-01-01", f"usage:tokens:{ADA}:2026-13-45"):
        client.set(odd, 5)
    client.set(f"usage:tokens:{ADA}:{today}", 900_000)
    plan = caches.plan_sync(ops, "usage")
    assert plan.notes[0].startswith("2 counters the database does not take: ")
    assert "nobody" in plan.notes[0] or "2026-13-45" in plan.notes[0]
    assert plan.steps[0].title == "Write 1 counter of usage to the database"
    asked = "SELECT max(amount) FROM usage WHERE user_id = :user AND kind = 'tokens'"
    assert sql.value(ops, asked, {"user": ADA}) < 900_000  # what was tried was rolled back
    applied(ops, plan)
    assert sql.value(ops, asked, {"user": ADA}) == 900_000


@pytest.mark.slow
def test_what_was_counted_since_the_last_sync_is_no_loss(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    grown = min(keys(ops, "usage:tokens:*"))
    for more, status in ((40, "ok"), (60_000, "warn")):
        client.incrby(grown, more)
        assert [f.status for f in caches.check_stored(ops, "usage")] == [status]


@pytest.mark.slow
def test_a_counter_that_grows_after_the_plan_is_left(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    plan = caches.plan_clear(ops, "usage")
    grown = min(keys(ops, "usage:tokens:*"))
    client.incrby(grown, 5)
    told = plan.steps[0].do.perform(ops)
    assert told["left"] == [grown]
    assert keys(ops, "usage:*") == {grown}


@pytest.mark.parametrize("keep", [True, False])
def test_a_key_whose_answer_was_lost_may_be_gone_and_comes_back_where_it_was_kept(
    clean: dict[str, Any], ops: Connection, client: Any, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    from redis import TimeoutError
    from redis.client import Pipeline

    execute = Pipeline.execute

    def lost(*given: Any, **named: Any) -> Any:
        execute(*given, **named)
        raise TimeoutError("Timeout reading from socket")

    client.set("counted", 1)
    stored = "SELECT 'counted' AS key, 1 AS value"
    monkeypatch.setattr(Pipeline, "execute", lost)
    with pytest.raises(OpsError, match="may be done") as failed:
        Unlink(["counted"], keep, stored).perform(ops)
    assert client.get("counted") is None
    if keep:
        Restore(failed.value.done["kept"]).perform(ops)
        assert client.get("counted") == b"1"
    else:
        assert isinstance(failed.value, Lost)


def test_a_user_is_throttled_for_a_while_and_banned_and_both_are_lifted(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    asked, given = "SELECT is_active FROM users WHERE id = :user", {"user": ADA}
    applied(ops, caches.plan_throttle(ops, ADA, 30, ban=True))
    rows = caches.list_throttled(ops).set_index("user")
    left = rows.loc[ADA, "until"] - ops.now()
    assert timedelta(minutes=25) < left <= timedelta(minutes=30, seconds=5)
    assert sql.value(ops, asked, given) is False
    applied(ops, caches.plan_lift(ops, ADA))
    assert ADA not in set(caches.list_throttled(ops)["user"])
    assert sql.value(ops, asked, given) is True


def test_undoing_a_lift_brings_the_throttle_back_with_its_end(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    ends = client.expiretime(f"ratelimit:block:{THROTTLED}")
    applied(ops, caches.plan_lift(ops, THROTTLED))
    undo_last(ops)
    assert client.expiretime(f"ratelimit:block:{THROTTLED}") == ends


def test_a_user_who_is_not_there_is_not_throttled_unless_the_database_cannot_say(
    clean: dict[str, Any], lab: PracticeLab, ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"0 rows of users have the id 'nobody'\. Nothing was"):
        caches.plan_throttle(ops, "nobody")

    def silent(*_: Any) -> Any:
        raise Unfinished("No answer.")

    monkeypatch.setattr(throttles, "ask", silent)
    plan = caches.plan_throttle(ops, ADA)
    assert len(plan.steps) == 1
    assert "Whether there is such a user is not known: No answer." in plan.notes
    with pytest.raises(Unfinished):
        caches.plan_throttle(ops, ADA, ban=True)


@pytest.mark.slow
def test_a_key_of_another_type_is_told_in_words(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    client.hset(f"ratelimit:block:{ADA}", "a", "1")
    with pytest.raises(OpsError, match="holds another kind of value than the app keeps there"):
        caches.plan_throttle(ops, ADA)


@pytest.mark.slow
def test_a_very_large_key_and_keys_that_never_end_among_others_that_do_are_told(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    assert caches.check_keys(ops).worst == "ok"
    client.set("blob", b"x" * 6_000_000)
    for number in range(150):
        client.set(f"usage:{number}", 1)
        client.set(f"constant:{number}", 1)  # of which none ends: it is meant
    large, endless = caches.check_keys(ops).troubles
    assert large.seen == "blob (string) 6 MB" or large.seen.startswith("blob (string) 6.")
    assert endless.seen.startswith("usage: 150 of ")


def test_a_client_that_opens_connections_and_closes_none_is_named(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(idle: int) -> list[dict[str, str]]:
        of = {"name": "worker", "cmd": "get", "idle": str(idle)}
        return [of | {"addr": f"10.0.0.7:{port}"} for port in range(300)]

    from redis import Redis

    monkeypatch.setattr(Redis, "client_list", lambda _: listed(10))
    assert caches.check_clients(ops).worst == "ok"
    monkeypatch.setattr(Redis, "client_list", lambda _: listed(900))
    assert "300 of worker at 10.0.0.7 unused" in caches.check_clients(ops).troubles[0].seen


@pytest.mark.parametrize("user", ["", "*", "a b", "x:y", "{user}"])
def test_what_is_no_id_of_a_user_is_refused(ops: Connection, user: str) -> None:
    with pytest.raises(UsageError, match="no id of a user"):
        caches.plan_throttle(ops, user)


@pytest.mark.slow
def test_a_cache_that_does_not_answer_is_unknown_and_nothing_of_it_absent(
    lab: PracticeLab, ops: Connection
) -> None:
    with lab.broken("cache-unreachable", PLACE):
        found = [*caches.check_cache(ops), *caches.check_keys(ops), *caches.check_throttled(ops)]
        assert {f.status for f in found} == {"unknown"}
        with pytest.raises(Unfinished, match="no answer from 127"):
            caches.plan_clear(ops, "usage")
    assert {f.status for f in caches.check_cache(ops)} == {"ok"}


INFO: dict[str, Any] = {
    "role": "master",
    "connected_slaves": 0,
    "used_memory": 4_000,
    "used_memory_human": "3.91K",
    "maxmemory": 64_000,
    "maxmemory_human": "62.50K",
    "maxmemory_policy": "allkeys-lru",
    "connected_clients": 3,
    "rdb_last_bgsave_status": "ok",
    "db0": {"keys": 3, "expires": 3},
}
OLD = {key: of for key, of in INFO.items() if not key.startswith(("rdb_", "maxmemory"))}
LAGS = {"slave0": {"ip": "10.0.0.2", "port": 6379, "state": "online", "offset": 9, "lag": 300}}
READS = {"keyspace_hits": 300, "keyspace_misses": 900}


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({}, {}),
        ({"connected_slaves": 1, "slave0": {**LAGS["slave0"], "lag": 1}}, {}),
        ({"connected_slaves": 1, **LAGS}, {"role of the cache": "warn"}),
        ({"min_slaves_good_slaves": 1}, {}),
        ({"min_slaves_good_slaves": 0}, {"role of the cache": "critical"}),
        ({"role": "slave", "master_link_status": "down"}, {"role of the cache": "critical"}),
        ({"rdb_last_bgsave_status": "err"}, {"what the cache writes to its disk": "critical"}),
        ({"aof_enabled": 0, "aof_last_write_status": "err"}, {}),
        (
            {"aof_enabled": 1, "aof_last_write_status": "err"},
            {"what the cache writes to its disk": "critical"},
        ),
        (
            {"aof_enabled": 1, "aof_last_write_status": "ok", "aof_last_bgrewrite_status": "err"},
            {"what the cache writes to its disk": "warn"},
        ),
        ({"loading": 1}, {"what the cache does for its clients": "critical"}),
        ({"paused_reason": "none"}, {}),
        ({"paused_reason": "client_pause"}, {"what the cache does for its clients": "warn"}),
        ({"cmdstat_flushall": {"calls": 1}}, {}),
        ({"db0": None}, {}),
        ({"db0": None, "cmdstat_flushall": {"calls": 1}}, {"keys of the cache": "warn"}),
        ({"evicted_keys": 9}, {"keys that the cache throws away": "critical"}),
        ({"used_memory": 60_000}, {"memory of the cache": "warn"}),
        (
            {"used_memory": 63_000, "maxmemory_policy": "noeviction"},
            {"memory of the cache": "critical"},
        ),
        ({"maxclients": 3}, {"clients of the cache": "warn"}),
        ({"rejected_connections": 2}, {"clients of the cache": "critical"}),
        (READS, {"reads that found their key": "warn"}),
        ({"keyspace_misses": 900}, {}),
    ],
)
def test_what_info_says_by_itself_is_told(more: dict[str, Any], wrong: dict[str, str]) -> None:
    for server in (INFO, OLD):
        then = {key: of for key, of in (server | more).items() if of is not None}
        found = {f.check: f.status for f in health._told(server, then)}
        told = {check: status for check, status in found.items() if status != "ok"}
        if server is INFO or not more.keys() & {"used_memory"}:
            assert told == wrong


@pytest.mark.parametrize("kind", ["session:*", "ratelimit:count:*"])
def test_keys_that_ought_to_end_and_stay_are_told(
    clean: dict[str, Any], ops: Connection, client: Any, kind: str
) -> None:
    left = {key: client.pttl(key) for key in client.scan_iter(kind)}
    assert {f.status for f in caches.check_keys(ops)} == {"ok"}
    for key in left:
        client.persist(key)
    try:
        seen = [f.seen for f in caches.check_keys(ops) if f.status == "warn"]
    finally:
        for key, milliseconds in left.items():
            client.pexpire(key, milliseconds)
    assert len(seen) == 1
    assert seen[0].endswith(f"{len(left)} of {len(left)} stay for ever")


def test_a_login_that_may_not_is_denied_and_not_absent(
    clean: dict[str, Any], ops: Connection, client: Any
) -> None:
    client.execute_command("ACL", "SETUSER", "default", "-scan")
    try:
        with pytest.raises(NotAllowed, match="SCAN MATCH usage"):
            caches.plan_clear(ops, "usage")
        assert {f.status for f in caches.check_throttled(ops)} == {"unknown"}
    finally:
        client.execute_command("ACL", "SETUSER", "default", "+scan")
    client.config_set("requirepass", "another")
    try:
        with pytest.raises(LoginRefused, match="Was its password rotated"):
            caches.find_keys(ops, "usage")
    finally:
        client.config_set("requirepass", sessions.address(ops)["password"])


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        ("rediss://:p%40ss@cache.example.com:6380/2", ("cache.example.com", 6380, "p@ss", 2)),
        ("redis://user:pass@cache.example.com", ("cache.example.com", 6379, "pass", 0)),
        ({"host": "cache.example.com", "password": "pass"}, ("cache.example.com", None, "pass", 0)),
        ({"REDIS_URL": "redis://h:1"}, ("h", 1, "", 0)),
    ],
)
def test_a_secret_says_where_the_cache_is(secret: Any, told: tuple[Any, ...]) -> None:
    found = sessions._parts(secret, "cache")
    assert (found.get("host"), found.get("port"), found["password"], found.get("db", 0)) == told


def test_an_address_of_something_else_is_refused_without_its_password() -> None:
    with pytest.raises(OpsError) as told:
        sessions._parts("postgresql://u:hidden@h/db", "cache")
    assert "hidden" not in str(told.value)
