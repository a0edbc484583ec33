"""How a cache is: memory, evictions, hits, clients, slow commands.

https://valkey.io/commands/info/
"""

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
    caches,
    check,
    count,
    dtypes,
    frame,
    sayings,
)

UNREACHABLE = "cache-unreachable"  # the cause that findings name, beside those of info.yaml
CLIENTS = dtypes("""
    client       str
    address      str
    idle_seconds int64
    command      str
""")
SLOW = {"time": UTC_TIME, "took_ms": "float64", "command": "str"}
_CLIENTS = """[?!starts_with(name || '', 'opslib/')].{
    client: name || "lib-name" || '',
    address: addr,
    idle_seconds: to_number(idle),
    command: cmd
}"""
_BETWEEN = 2.0  # seconds between two looks: counters of INFO are since the server's start
_COUNTED = beside(__file__, "counters")
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
    return Findings([answers, *_told(first, then)])


def _told(first: Json, then: Json) -> Iterator[Finding]:
    """By the table beside this module; with shares of limits, and what rose between two looks."""
    told: Json = dict.fromkeys(_COUNTED["limits"] + _COUNTED["counters"], 0) | then
    told |= {f"{key} rise": told[key] - first.get(key, 0) for key in _COUNTED["counters"]}
    told["reads"] = told["keyspace_hits"] + told["keyspace_misses"]
    for share, part, most in _COUNTED["shares"]:
        told[share] = told[part] / told[most] if told[most] else 0.0
    return sayings(beside(__file__, "info"), told)


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
        rows = jmespath.search(_CLIENTS, client.client_list())
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
