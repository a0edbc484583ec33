"""A batch by the workers of a Dask scheduler, each with its own opslib and credentials.

No more is handed out than the workers have threads for, so what was not begun is known here. What
a killed worker had Dask gives to another; that nothing is run twice then is `taking`'s.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import fields
from itertools import chain
from typing import Any

from opslib.catalogue import procedures
from opslib.core import Json, OpsError, UsageError, count, redaction
from opslib.core.waiting import handling
from opslib.records import facts, index, interruptions, records
from opslib.records.records import Record, Row
from opslib.runs.batches import standing, taking
from opslib.runs.batches.items import Item, Progress, ended

TIMES = 4  # an item is begun at most: when so many workers died with a task, Dask gives it up
_ANSWER_SECONDS = 10.0
_PATIENCE_SECONDS = 120.0  # without any worker
_LOOK_SECONDS = 2.0
_STOP_SECONDS = 120.0


def run(address: str, given: str, items: Sequence[Item], progress: Progress) -> list[Record]:
    """An `Executor`. `address` is Dask's own, `given` what was typed.

    Raises UsageError, and OpsError when there is no scheduler or no worker that can take part: then
    nothing was run. OpsError, too, when they are lost, and says how far it came.
    """
    from distributed import Client

    for item in items:
        _require_sendable(item, given)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters we say
    try:
        client = Client(address, timeout=_ANSWER_SECONDS)
    except (OSError, RuntimeError, TypeError, ValueError) as exc:
        raise OpsError(
            f"The Dask scheduler at {given} does not answer: "
            f"{exc or type(exc).__name__}. Nothing was run. Start one: dask scheduler"
        ) from exc
    try:
        return Batch(client, items, progress, given).run()
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=5)


def _require_sendable(item: Item, given: str) -> None:
    said = {name: value for name, value in item.parameters.items() if value not in ("", None)}
    if secret := redaction.typed_secrets(said):
        raise UsageError(
            f"{secret[0]} is a secret, and none is sent to workers: they read theirs themselves. "
            "Nothing was run."
        )
    if said.get("approved"):
        raise UsageError(
            f"A change is applied from here, not by {given}, where nobody sees it. Nothing was run."
        )


class Batch:
    """Use once: `run`."""

    def __init__(self, client: Any, items: Sequence[Item], progress: Progress, given: str) -> None:
        self._client, self._items, self._given = client, items, given
        self._tell = {item.id: progress(item.name, item.target) for item in items}
        more = iter(records.new_ids(len(items) * (TIMES - 1)))
        self._ids = {item.id: [item.id, *(next(more) for _ in range(TIMES - 1))] for item in items}
        self._waiting, self._records = [*items], dict[str, Record]()
        self._under_way: dict[Any, tuple[Item, set[str]]] = {}  # a future: what, for whom
        self._wrong: dict[str, str] = {}  # why a worker takes no part; empty: it does
        self._troubled: list[tuple[Item, str]] = []
        self._topic = f"opslib-{items[0].id}"
        self._asked = (
            [item.procedure.name for item in items],
            [item.target for item in items],
            index.last_seal(),
        )
        self._here = standing.standing(*self._asked)
        self._seen = time.monotonic()  # a worker, last

    def run(self) -> list[Record]:
        if not self._workers():
            why = "; ".join(self._wrong.values()) or "it has none. Start one: dask worker"
            raise OpsError(f"No worker of {self._given} can take part: {why}. Nothing was run.")
        self._client.subscribe_topic(self._topic, self._hear)
        try:
            with handling(signal.default_int_handler, signal.SIGTERM, signal.SIGHUP):
                self._go_on()
        except KeyboardInterrupt:
            self._stop()
            raise KeyboardInterrupt(f": {self._how_far()}") from None
        except OSError as exc:  # also Dask's own, of connections and of time
            raise OpsError(
                f"{self._given} is lost: {exc or type(exc).__name__}. {self._how_far()} "
                "Look: opslib records"
            ) from exc
        return [self._records[item.id] for item in self._items]

    def _go_on(self) -> None:
        from distributed import wait

        while self._waiting or self._under_way:
            self._hand_out(self._workers())
            if not self._under_way:  # no worker is left
                time.sleep(_LOOK_SECONDS)
            with contextlib.suppress(TimeoutError, CancelledError):  # that shows in what is taken
                wait([*self._under_way], timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED")
            for future in [each for each in self._under_way if each.done()]:
                self._take_in(future, self._under_way.pop(future)[0])
        for item, why in self._troubled:
            self._records[item.id] = self._settled(item, why)

    def _workers(self) -> dict[str, int]:
        """Those that take part, with their threads. Each that is new is looked at first."""
        threads: dict[str, int] = self._client.nthreads()
        if new := [*threads.keys() - self._wrong.keys()]:
            asked = {"workers": new, "on_error": "return"}
            for address, said in self._client.run(standing.standing, *self._asked, **asked).items():
                if isinstance(said, Exception):
                    why = f"cannot say what it has: {type(said).__name__}: {said}"
                else:
                    why = standing.differs(self._here, said)
                self._wrong[address] = why and f"worker {address} {redaction.mask(why)}"
                if why:
                    self._tell[self._items[0].id](0, 0, f"left out: {self._wrong[address]}")
        return {each: n for each, n in threads.items() if self._wrong.get(each) == ""}

    def _hand_out(self, workers: dict[str, int]) -> None:
        """As much as there are threads; again what no worker is left to do."""
        now = time.monotonic()
        self._seen = now if workers else self._seen
        if now - self._seen > _PATIENCE_SECONDS:
            raise OSError(f"no worker for {now - self._seen:.0f} s")
        for future, (item, whose) in [*self._under_way.items()] if workers else ():
            if not whose & workers.keys():
                del self._under_way[future]
                future.cancel()
                self._waiting.insert(0, item)
        while self._waiting and len(self._under_way) < sum(workers.values()):
            item = self._waiting.pop(0)
            key = f"opslib-{item.id}-{len(self._under_way)}-{now:.3f}"
            where = {"workers": [*workers], "pure": False, "key": key}
            future = self._client.submit(work, self._task(item), **where)
            self._under_way[future] = item, {*workers}

    def _task(self, item: Item) -> Json:
        """What is sent. No secret: `_require_sendable`."""
        return {
            **vars(item),
            "procedure": item.procedure.name,
            "ids": self._ids[item.id],
            "topic": self._topic,
            "by": f"{facts.who()} on {facts.host()}",
        }

    def _hear(self, event: Any) -> None:
        _, (id, cell, cells, text) = event
        self._tell[id](cell, cells, text)

    def _take_in(self, future: Any, item: Item) -> None:
        if future.status not in ("finished", "error"):
            raise OSError("the scheduler does not answer any more")
        said = {"why": str(future.exception())} if future.status == "error" else future.result()
        found = index.rows(id=said["id"]) if "id" in said else []
        if found:
            self._records[item.id] = ended(self._tell[item.id], Record.of(found[0]))
        else:
            elsewhere = "the worker's index is another one than here"
            self._troubled.append((item, said.get("why", elsewhere)))

    def _settled(self, item: Item, why: str) -> Record:
        """How it ended that Dask gave up: its last record; one that says so, when it has none."""
        while begun := self._rows(self._ids[item.id]):
            if begun[-1]["seq"] is not None:
                return Record.of(begun[-1])
            time.sleep(_LOOK_SECONDS)  # its lease ends
            interruptions.close_abandoned()
        return item.not_run(why)

    def _rows(self, ids: Sequence[str]) -> list[Row]:
        """Those that are there, in the order of the ids."""
        found = {row["id"]: row for row in index.rows(id=ids)}
        return [found[id] for id in ids if id in found]

    def _stop(self) -> None:
        """Those that run are stopped where they are, and end as interrupted."""
        from distributed import wait

        ids = [id for item, _ in self._under_way.values() for id in self._ids[item.id]]
        until = time.monotonic() + _STOP_SECONDS
        with contextlib.suppress(OSError):
            while self._under_way and time.monotonic() < until:
                self._client.run(taking.stop, ids, on_error="ignore")
                with contextlib.suppress(TimeoutError, CancelledError):
                    wait([*self._under_way], timeout=1)
                    break

    def _how_far(self) -> str:
        found = {row["id"]: row["outcome"] for row in index.rows(id=[*chain(*self._ids.values())])}
        begun = [[found[id] for id in ids if id in found] for ids in self._ids.values()]
        last = [outcomes[-1] if outcomes else "" for outcomes in begun]
        cut_off, going_on = last.count(taking.INTERRUPTED), last.count(records.RUNNING)
        not_begun = last.count("")
        kept = len(last) - cut_off - going_on - not_begun
        said = [f"Of {count(len(last), 'run')} {kept} ended and are kept"]
        said += [f"{cut_off} interrupted"] * bool(cut_off)
        said += [f"{going_on} still at work"] * bool(going_on)
        return f"{', '.join([*said, f'{not_begun} not begun'])}."


def work(task: Json) -> Json:
    """On a worker: `id` of the record that says how it ended; or `why` there is none."""
    from distributed import get_worker

    worker = get_worker()
    ids, topic = task["ids"], task["topic"]

    def tell(cell: int, cells: int, text: str) -> None:
        worker.log_event(topic, [ids[0], cell, cells, redaction.mask(text)])

    try:
        own = {field.name: task[field.name] for field in fields(Item)}
        item = Item(**own | {"procedure": procedures.find(task["procedure"])})
        batch = {"of": topic, "by": task["by"], "worker": worker.address}
        return {"id": taking.take(item, ids, batch, tell)}
    except Exception as exc:  # noqa: BLE001 - what it was is told there, masked
        return {"why": redaction.mask(f"{exc}" if isinstance(exc, OpsError) else repr(exc))}
