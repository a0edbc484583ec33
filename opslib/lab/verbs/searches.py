"""Verbs about what is beside the database: the search domain, and the cache."""

from collections.abc import Mapping
from typing import Any, ClassVar

from opslib.lab.forms.values import Duration
from opslib.lab.resources.databases import caches
from opslib.lab.resources.search import indices
from opslib.lab.verbs.verbs import Stage, Verb, verb

_ROOM = 400_000  # bytes; clients take some of it, and then the more keys go
_WRITES, _AT_ONCE = 500, 20  # keys a second


@verb("search", "opensearch", "metrics", "api")
class Search(Verb):
    """What is wrong with the domain, as the stand-in's `fault` has it: unassigned, blocks, …"""

    fault: Mapping[str, Any]

    def apply(self, stage: Stage) -> None:
        fault = indices.held(stage.place)["fault"]
        stage.kept = {key: fault[key] for key in self.fault if key in fault}
        fault |= stage.filled(self.fault)

    def undo(self, stage: Stage) -> None:
        fault = indices.held(stage.place)["fault"]
        for key in self.fault:
            fault.pop(key, None)
        fault |= stage.kept or {}


@verb("lose_index", "opensearch", "metrics")
class LoseIndex(Verb):
    """Somebody deleted an index."""

    bare: ClassVar[str] = "index"
    index: str

    def apply(self, stage: Stage) -> None:
        held = indices.held(stage.place)
        name = indices.resolved(stage.place, self.index)
        stage.kept = name, held["indices"].pop(name), dict(held["aliases"])
        held["aliases"] = {key: of for key, of in held["aliases"].items() if of != name}

    def undo(self, stage: Stage) -> None:
        """Puts it back, in place of any that was made meanwhile."""
        held = indices.held(stage.place)
        name, index, held["aliases"] = stage.kept
        held["indices"].pop(self.index, None)
        held["indices"][name] = index


@verb("unindex", "opensearch", "metrics")
class Unindex(Verb):
    """Documents that never came into an index, the newest but some; others that should be out.

    newest: so many; `but`: without those that came last. strays: copies under ids of no row
    """

    index: str
    newest: int = 0
    but: int = 2
    strays: int = 0

    def apply(self, stage: Stage) -> None:
        documents = self._documents(stage)
        order = sorted(documents, key=lambda id: str(documents[id].get("createdAt")))
        gone = order[: len(order) - self.but][-self.newest :] if self.newest else []
        stage.kept = (
            dict(documents),
            [f"00000000-0000-4000-8000-{n:012d}" for n in range(self.strays)],
        )
        for id in gone:
            del documents[id]
        documents.update(dict.fromkeys(stage.kept[1], documents[order[0]]))

    def undo(self, stage: Stage) -> None:
        """As before, but with what was indexed meanwhile."""
        kept, strays = stage.kept
        documents = self._documents(stage)
        now = {id: each for id, each in documents.items() if id not in kept and id not in strays}
        documents.clear()
        documents.update(kept | now)

    def _documents(self, stage: Stage) -> dict[str, Any]:
        found = indices.index_of(stage.place, self.index)
        if found is None:
            raise LookupError(f"{stage.drill}: there is no index {self.index}")
        documents: dict[str, Any] = found["documents"]
        return documents


@verb("full_cache", "cache")
class FullCache(Verb):
    """Its memory is as good as full; `policy`: what it does then. Somebody goes on writing."""

    policy: str = "allkeys-lru"

    def apply(self, stage: Stage) -> None:
        with caches.of(stage.place).client() as client:
            client.config_set("maxmemory-policy", self.policy)
            client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + _ROOM)
        self._write(stage)

    def tick(self, stage: Stage) -> None:
        self._write(stage)

    def _write(self, stage: Stage) -> None:
        number = stage.kept or 0
        stage.kept = number + _WRITES
        from redis import RedisError

        try:
            with caches.of(stage.place).client() as client, client.pipeline(False) as pipe:
                for at in range(number, number + _WRITES):
                    pipe.set(f"thumb:{at:08}", "x" * 900)
                    if at % _AT_ONCE == 0:
                        pipe.execute(raise_on_error=False)
        except RedisError:  # it is stopped by another drill
            return

    def undo(self, stage: Stage) -> None:
        caches.of(stage.place).put_back()


@verb("stop_cache", "cache", "api")
class StopCache(Verb):
    """It does not answer any more."""

    def apply(self, stage: Stage) -> None:
        caches.of(stage.place).stop()

    def undo(self, stage: Stage) -> None:
        caches.of(stage.place).put_back()


@verb("cached", "cache")
class Cached(Verb):
    """A key that somebody wrote; `{today}` in it is the day. `lasts`: none: for ever."""

    key: str
    value: str
    lasts: Duration | None = None

    def apply(self, stage: Stage) -> None:
        stage.kept = self.key.replace("{today}", f"{stage.place.now():%Y-%m-%d}")
        with caches.of(stage.place).client() as client:
            most = client.config_get("maxmemory")["maxmemory"]
            client.config_set("maxmemory", 0)  # one that is full by now held it before
            client.set(stage.kept, self.value, ex=self.lasts)
            client.config_set("maxmemory", most)

    def undo(self, stage: Stage) -> None:
        server = caches.of(stage.place)
        with server.client() as client:
            client.unlink(stage.kept)
        if stage.kept in server.held:
            server.put_back()
