"""How a cache is: memory, evictions, hits, clients, slow commands.

https://valkey.io/commands/info/
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import jmespath

from opslib.core import (
    UTC_TIME,
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    Unfinished,
    beside,
    check,
    count,
    dtypes,
    frame,
    number,
)
from opslib.core.connections import caches

FULL, EVICTING, REFUSING = "cache-full", "cache-evicting", "cache-clients-refused"
UNREACHABLE = "cache-unreachable"
CLIENTS = dtypes("""
    client       str
    address      str
    idle_seconds int64
    command      str
""")
SLOW = {"time": UTC_TIME, "took_ms": "float64", "command": "str"}
_BETWEEN = 2.0  # seconds between two looks: counters of INFO are since the server's start
_WARN, _CRITICAL = 0.85, 0.97  # of maxmemory
_CLIENTS = 0.9  # of maxclients
_HITS, _FEW = 0.5, 1_000
_SLOW_MS = 100.0
_UNUSED, _IDLE_SECONDS = 50, 60  # connections that a pool may well keep


@check("Does the cache answer, has it room, does it lose keys?")
def check_cache(ops: Connection) -> Findings:
    """Memory, evictions, clients, hits, replication; INFO is looked at twice within two seconds.

    Unreachable or denied is unknown. INFO, and no CONFIG, which many services deny.
    """
    asked = Question("the cache answers", f"within {caches.SECONDS} s", "INFO")
    try:
        with caches.session(ops, "INFO") as client:
            first: Json = dict(client.info("all"))
            time.sleep(_BETWEEN)
            then: Json = dict(client.info("all"))
    except Unfinished as exc:
        return Findings(asked.unknown(str(exc), cause=UNREACHABLE, next="caches/health"))
    said = f"{then.get('server_name', 'redis')} {then.get('valkey_version', then['redis_version'])}"
    said += f", up for {int(then['uptime_in_seconds']) / 86_400:,.1f} d"
    answers = asked.ok(said, cause=UNREACHABLE)
    return Findings(
        [answers, *_memory(first, then), *_clients(first, then), *_hits(then), *_told(then)]
    )


def _memory(first: Json, then: Json) -> Iterator[Finding]:
    used, most = float(then["used_memory"]), float(then.get("maxmemory") or 0)
    policy = str(then.get("maxmemory_policy", "?"))
    asked = Question("memory of the cache", f"below {_WARN:.0%} of its limit", "INFO memory")
    if not most:
        said = f"{number(used / 1e6, 'MB')}, and no limit is set (maxmemory)"
        yield asked.ok(said, cause=FULL)
    else:
        share = used / most
        said = f"{number(used / 1e6, 'MB')} of {number(most / 1e6, 'MB')} ({share:.0%}), {policy}"
        keeps = policy == "noeviction"
        said += ": when it is full, writes fail" if keeps else ": when it is full, keys are lost"
        status = "ok" if share < _WARN else "critical" if share >= _CRITICAL and keeps else "warn"
        yield asked.answer(status, said, cause=FULL, next="" if status == "ok" else "caches/clear")
    lost = int(then.get("evicted_keys", 0)) - int(first.get("evicted_keys", 0))
    ever = f"{int(then.get('evicted_keys', 0)):,} since its start"
    asked = Question("keys that the cache throws away", f"none in {_BETWEEN:.0f} s", "INFO stats")
    if lost <= 0:
        yield asked.ok(f"none, {ever}", cause=EVICTING)
    else:
        said = f"{count(lost, 'key')} in {_BETWEEN:.0f} s for want of memory ({policy}), {ever}"
        yield asked.critical(said, cause=EVICTING, next="caches/clear")


def _clients(first: Json, then: Json) -> Iterator[Finding]:
    have, most = int(then["connected_clients"]), int(then.get("maxclients") or 0)
    asked = Question("clients of the cache", f"below {_CLIENTS:.0%} of its limit", "INFO clients")
    said = f"{have} of {most}" if most else f"{have}, the limit is not told"
    refused = int(then.get("rejected_connections", 0))
    going = refused > int(first.get("rejected_connections", 0))
    said += f"; {refused:,} were refused since its start" * bool(refused)
    many = bool(most) and have >= _CLIENTS * most
    status = "critical" if going else "warn" if many else "ok"
    yield asked.answer(status, said, cause=REFUSING)


def _hits(then: Json) -> Iterator[Finding]:
    hits, misses = int(then.get("keyspace_hits", 0)), int(then.get("keyspace_misses", 0))
    if hits + misses < _FEW:
        return
    share = hits / (hits + misses)
    asked = Question("reads that found their key", f"above {_HITS:.0%}", "INFO stats")
    said = f"{share:.0%} of {hits + misses:,} since its start"
    yield asked.judged(share >= _HITS, said, otherwise="warn")


def _told(told: Json) -> Iterator[Finding]:
    """What INFO says by itself: the facts beside this module, the first that is wrong of each."""
    for fact in beside(__file__, "info"):
        asked = Question(fact["words"], fact["rule"], f"INFO {fact['section']}")
        right = {"status": "ok", "seen": fact["seen"]}
        found = next((each for each in fact["wrong"] if jmespath.search(each["when"], told)), right)
        seen = found["seen"].format_map(told)
        yield asked.answer(found["status"], seen, next=found.get("next", ""))


@check("Which commands take long?")
def check_slow(ops: Connection) -> Findings:
    """The slow log, the newest first: at most 128. A warning when one took over 100 ms. Evidence:
    SLOW, the arguments left out, for they are values.
    """
    with caches.session(ops, "SLOWLOG GET") as client:
        told = client.slowlog_get(128)
    rows = [
        {
            "time": datetime.fromtimestamp(each["start_time"], UTC),
            "took_ms": each["duration"] / 1000,
            "command": bytes(each["command"]).split(b" ")[0].decode("utf-8", "replace").upper(),
        }
        for each in told
    ]
    asked = Question("slow commands", f"none above {_SLOW_MS:.0f} ms", "SLOWLOG GET")
    slow = [row for row in rows if row["took_ms"] > _SLOW_MS]
    if not slow:
        return Findings(asked.ok(f"{len(rows)} in the log"), frame(rows, SLOW))
    worst = max(slow, key=lambda row: row["took_ms"])
    said = f"{count(len(slow), 'command')}, the longest {worst['command']}"
    said += f" with {worst['took_ms']:,.0f} ms at {worst['time']:%m-%d %H:%M} UTC"
    said += ". KEYS stops the server for everybody: SCAN does not" * (worst["command"] == "KEYS")
    return Findings(asked.warn(said), frame(rows, SLOW))


@check("Who is connected to the cache?")
def check_clients(ops: Connection) -> Findings:
    """CLIENT LIST, ourselves left out: does one machine keep many that it does not use?

    A pool is used in turns; what is opened and never closed only gets idle. Evidence: CLIENTS.
    """
    with caches.session(ops, "CLIENT LIST") as client:
        told = client.client_list()
    rows = [
        {
            "client": each.get("name") or each.get("lib-name", ""),
            "address": each["addr"],
            "idle_seconds": int(each["idle"]),
            "command": each["cmd"],
        }
        for each in told
        if not str(each.get("name", "")).startswith("opslib/")
    ]
    rule = f"at most {_UNUSED} of one machine unused for {_IDLE_SECONDS} s"
    asked, found = Question("who is connected", rule, "CLIENT LIST"), frame(rows, CLIENTS)
    unused = found[found["idle_seconds"] >= _IDLE_SECONDS]
    whose = unused["client"] + " at " + unused["address"].str.replace(r":\d+$", "", regex=True)
    seen, most = count(len(rows), "client"), whose.value_counts()
    if most.empty or most.iloc[0] <= _UNUSED:
        return Findings(asked.ok(seen), found)
    seen += f", {most.iloc[0]:,} of {most.index[0]} unused for over {_IDLE_SECONDS} s: it opens "
    seen += "connections and closes none"
    return Findings(asked.warn(seen, next="services/health"), found)
