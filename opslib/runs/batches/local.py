"""A batch in this process: a few runs a core at a time, their kernels forked where that is safe."""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from opslib.core.waiting import handling
from opslib.pages import pages
from opslib.records.records import Record
from opslib.runs import forks
from opslib.runs.batches.items import Item, Progress, ended

# They wait for the network half of the time; more at once share the cores, and all end late.
_AT_A_TIME = min(16, 3 * (os.cpu_count() or 4))


def run(
    items: Sequence[Item], progress: Progress, printed: Callable[[str], None] | None
) -> list[Record]:
    """An `Executor`. `printed` gets what a live cell prints, where only one runs."""
    if len(items) == 1:
        [one] = items
        heard = {"tell": progress(one.name, one.target), "printed": printed}
        return [one.run(**heard, forked=forks.prepared())]
    from opslib.runs import executions

    forked = prepare()

    def run_one(item: Item) -> Record:
        tell = progress(item.name, item.target)
        return ended(tell, item.run(tell=tell, forked=forked))

    with (
        handling(signal.default_int_handler, signal.SIGTERM, signal.SIGHUP),
        ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool,
    ):
        started = [pool.submit(run_one, item) for item in items]
        try:
            return [future.result() for future in started]
        except KeyboardInterrupt:
            for future in started:
                future.cancel()
            while wait(started, timeout=0.5).not_done:  # one about to start is caught later
                executions.stop_all()
            raise


def prepare() -> bool:
    """What many runs of this process have in common, done once; can kernels be forked?"""
    if forked := forks.prepare(many=True):
        pages.prepare()
    return forked
