"""Verbs about a cache: it is full, it does not answer, it holds a key that should not be there."""

from __future__ import annotations

from opslib.lab.forms.values import Duration
from opslib.lab.resources import caches
from opslib.lab.verbs.verbs import Stage, Verb, verb

_ROOM = 40_000  # bytes
_WRITES = 400  # keys a second


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
            client.set(stage.kept, self.value, ex=self.lasts)

    def undo(self, stage: Stage) -> None:
        server = caches.of(stage.place)
        with server.client() as client:
            client.unlink(stage.kept)
        if stage.kept in server.held:
            server.put_back()
