"""Who runs a batch, by name: this process, or workers of Dask."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from urllib.parse import urlsplit

from opslib.core import UsageError
from opslib.records import copies
from opslib.records.chain import database
from opslib.runs.batches import LOCAL, local
from opslib.runs.batches.items import Executor

_PROTOCOLS = {"dask": "tcp", "dask+tls": "tls"}


def named(text: str, printed: Callable[[str], None] | None = None) -> Executor:
    """`local`, `dask://HOST:PORT`, `dask+tls://HOST:PORT`. Raises UsageError.

    `printed` gets what a live cell prints, where one runs here.
    """
    if text == LOCAL:
        return partial(local.run, printed=printed)
    try:
        given = urlsplit(text)
        whole = given.hostname and given.port and not given.path.strip("/")
    except ValueError:  # the port
        whole = False
    if not whole or given.scheme not in _PROTOCOLS:
        raise UsageError(
            f"--executor {text}: give local, dask://HOST:PORT or dask+tls://HOST:PORT (the "
            "address of a Dask scheduler)."
        )
    if find_spec("distributed") is None:
        raise UsageError(
            f"--executor {text} needs Dask, which is not installed here: pip install 'opslib[dask]'"
        )
    if not copies.base() or database.file():
        raise UsageError(
            f"--executor {text}: workers elsewhere have to share records and their index. Set "
            "OPSLIB_RECORDS=s3://BUCKET/PREFIX and OPSLIB_INDEX=postgresql://HOST/DATABASE, here "
            "and where the workers are started. Nothing was run."
        )
    from opslib.runs.batches import dask

    return partial(dask.run, f"{_PROTOCOLS[given.scheme]}://{given.netloc}", text)
