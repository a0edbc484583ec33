"""The lab's server process: `python -m opslib.lab.server --folder F`. Started by opslib.lab.up().

One threaded WSGI server on loopback: /_lab/ is the control plane, /_api/<target>/ a system's own
HTTP API, /_es/<target>/ the stand-in for its OpenSearch domain, everything else is AWS. PostgreSQL
is its child. It ends when it is told to, and when its lab.json is gone.
"""

import argparse
import gc
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import parse_qsl

os.environ.update(
    MOTO_EC2_LOAD_DEFAULT_AMIS="false",
    S3_IGNORE_SUBDOMAIN_BUCKETNAME="true",
    MOTO_DISABLE_GLOBAL_CORS="true",
    MOTO_LAMBDA_CONCURRENCY_QUOTA="1000",
)

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

from opslib.core import removal
from opslib.core.errors import OpsError
from opslib.core.strict_yaml import skip_grammars
from opslib.lab import control, corrections, folders
from opslib.lab.aws import copies, moto
from opslib.lab.aws.operations import rewind
from opslib.lab.gateway import Gateway, status_line
from opslib.lab.resources.search import stand_in
from opslib.lab.world import World

log = logging.getLogger("opslib.lab")
_TICK_SECONDS = 1.0
_QUIET_SECONDS = 4.0  # more between two ticks while nobody asks anything
_IDLE_SECONDS = 30.0  # after which a thread that had nothing to do ends
_JSON = "application/json"


class _Handler(MotoRequestHandler):  # type: ignore[misc]
    """Answers in one packet, and closes.

    Kept connections would be open in whoever asked until his clients are garbage: of tests, which
    connect thousands of times, more than a process may have.
    """

    wbufsize = -1

    def run_wsgi(self) -> None:
        """In place of werkzeug's, which waits for what else is sent: `Application` reads all."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        self.environ = self.make_environ()
        try:
            for part in self.server.app(self.environ, self._begin):
                self.wfile.write(part)
            self.wfile.flush()
        except ConnectionError:  # whoever asked is gone
            self.close_connection = True
        except Exception:
            log.exception("%s %s", self.command, self.path)
            self.send_error(500)

    def _begin(self, status: str, headers: list[tuple[str, str]]) -> None:
        code, _, phrase = status.partition(" ")
        self.send_response(int(code), phrase)
        for name, value in (*headers, ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()

    def log_request(self, *_: Any) -> None:
        """No line a request."""

    def log(self, *_: Any) -> None:
        """Nor one for what was no request."""


class _Server(ThreadedWSGIServer):  # type: ignore[misc]
    """Its threads go on with the next request: to start one costs as much as a short answer."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._waiting: SimpleQueue[tuple[Any, Any]] = SimpleQueue()
        self._idle = threading.Semaphore(0)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._waiting.put((request, client_address))
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                given = self._waiting.get(timeout=_IDLE_SECONDS)
            except Empty:
                if self._idle.acquire(blocking=False):
                    return
                continue  # a request is on its way to this one
            self.process_request_thread(*given)
            self._idle.release()


class Application:
    """Sends each request where its path says."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.gateway = Gateway(world)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        _, _, first = environ["PATH_INFO"].encode("latin-1").decode().partition("/")
        first, _, rest = first.partition("/")
        self.world.asked.set()
        if first not in ("_lab", "_api", "_es"):
            return self.gateway(environ, start_response)
        body = _body(environ)
        if first == "_lab":
            status, answer = control.handle(self.world, environ["REQUEST_METHOD"], rest, body)
            kind = _JSON
        elif first == "_es":
            status, kind, answer = self._search(environ, rest, body)
        else:
            status, kind, answer = self._api(environ, rest, body)
        start_response(
            status_line(status), [("Content-Type", kind), ("Content-Length", str(len(answer)))]
        )
        return [answer]

    def _api(self, environ: dict[str, Any], path: str, body: bytes) -> tuple[int, str, bytes]:
        target, _, rest = path.partition("/")
        headers = _headers(environ)
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        try:
            place = self.world.place(target)
            api = self.world.estate(place).api
            if api is None:
                return 404, _JSON, b'{"detail": "this system has no HTTP API in the lab"}'
            return api(place)(environ["REQUEST_METHOD"], f"/{rest}", query, headers, body)
        except OpsError as exc:
            return 404, _JSON, json.dumps({"detail": str(exc)}).encode()
        except Exception as exc:
            log.exception("%s /_api/%s", environ["REQUEST_METHOD"], path)
            return 500, _JSON, json.dumps({"detail": f"Internal Server Error: {exc!r}"}).encode()

    def _search(self, environ: dict[str, Any], path: str, body: bytes) -> tuple[int, str, bytes]:
        """The stand-in for OpenSearch. Its signature is over the address as it was sent."""
        sent, method = environ["REQUEST_URI"], environ["REQUEST_METHOD"]
        try:
            place = self.world.place(path.partition("/")[0])
            url = f"http://{environ['HTTP_HOST']}{sent}"
            inner = sent.removeprefix(f"/_es/{place.name}")
            return stand_in.answer(place, method, url, inner, _headers(environ), body)
        except OpsError as exc:
            return 404, _JSON, json.dumps({"message": str(exc)}).encode()
        except Exception as exc:
            log.exception("%s /_es/%s", method, path)
            return 500, _JSON, json.dumps({"message": f"The lab failed: {exc!r}"}).encode()


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    told = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
    return told | {"content-type": environ.get("CONTENT_TYPE", "")}


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    rewind(environ, body)
    return body


def serve(folder: Path, port: int, seed: int, clock_offset_hours: float) -> None:
    """Builds the lab, says in lab.json that it is there,
    and serves until a signal or until lab.json is gone.
    """
    with opened(folder, port, seed, clock_offset_hours) as world:
        world.announce = partial(_announce, folder, world)
        world.announce()
        _tick_while_wanted(folder, world)


@contextmanager
def opened(
    folder: Path, port: int = 0, seed: int = 7, clock_offset_hours: float = 0.0
) -> Iterator[World]:
    """A lab that answers on `world.url`, in this process."""
    world = World(folder, seed, clock_offset_hours)
    server = _Server("127.0.0.1", port, Application(world), _Handler)
    world.url = f"http://127.0.0.1:{server.port}"
    try:
        _fill(world)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield world
        server.shutdown()
    finally:
        server.server_close()
        world.postgres.stop()
        for cache in world.caches.values():
            cache.stop()
        for place in world.places.values():  # moto holds them for the whole process
            copies.forget(place.account)


def _fill(world: World) -> None:
    """Installs the corrections while PostgreSQL starts, then makes the places."""
    with ThreadPoolExecutor(1) as starting:
        started = starting.submit(world.postgres.start)
        moto.lighten()
        corrections.install()
        started.result()
    world.populate()
    gc.freeze()  # the models and all that: no garbage
    # An answer leaves a few cycles; looking for them after each was a seventh of the lab's time.
    gc.set_threshold(50_000, 20, 20)


def _announce(folder: Path, world: World) -> None:
    facts = {
        "url": world.url,
        "pid": os.getpid(),
        "seed": world.seed,
        "clock_offset_hours": world.clock_offset_hours,
        "postgres": str(world.postgres.home),
        "targets": {
            place.name: {
                "account": place.account,
                "region": place.region,
                "api": place.facts.get("api", {}).get("url", ""),
            }
            for place in world.places.values()
        },
    }
    part = folder / "lab.json.part"
    folders.write(part, json.dumps(facts, indent=1))
    removal.put(part, folder / "lab.json")


def _tick_while_wanted(folder: Path, world: World) -> None:
    announced = folder / "lab.json"
    while announced.exists():
        world.tick()
        time.sleep(_TICK_SECONDS)
        world.asked.wait(_QUIET_SECONDS)
        world.asked.clear()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--clock-offset-hours", type=float, default=0.0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    skip_grammars()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # an exit that cleans up
    try:
        serve(given.folder, given.port, given.seed, given.clock_offset_hours)
    except OpsError as exc:
        sys.exit(f"{type(exc).__name__}: {exc}")


if __name__ == "__main__":
    main()
