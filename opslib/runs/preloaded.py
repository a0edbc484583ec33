"""What kernels of a batch have in common: done once in the process that they are forked from, and
only there.

A fork has the memory of its parent and one thread. So in this process there is no other thread, no
context of zmq, no
secret; and `matplotlib_inline` is not imported, which without a kernel gives up pictures for good.
"""

# ruff: noqa: E402

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import sys

for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]  # a kernel brings its own
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
sys.path[:] = [path for path in sys.path if path]  # "" is the folder in which opslib was called

import boto3
import matplotlib.backends
import pandas as pd

import opslib
from opslib.core import strict_yaml
from opslib.core.checks import plots
from opslib.core.connections import calls

_NOT_IN_KERNELS = {"__main__", "catalogue", "cli", "pages", "runs"}
_WHEN_A_KERNEL_STARTS = (
    "ipykernel.debugger",
    "ipykernel.kernelapp",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.extensions.storemagic",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "tornado.platform.asyncio",
)
_SERVICES = (
    "sts",
    "cloudwatch",
    "cognito-idp",
    "lambda",
    "logs",
    "rds",
    "s3",
    "secretsmanager",
    "sqs",
)


def _do_once() -> None:
    """What most procedures do.

    Done before the fork, its imports, caches and compiled patterns are there after it.
    """
    rooms = {module.name for module in pkgutil.iter_modules(opslib.__path__)} - _NOT_IN_KERNELS
    for name in (*_WHEN_A_KERNEL_STARTS, *(f"opslib.{room}" for room in sorted(rooms))):
        importlib.import_module(name)
    for schema in ("target", "runbook"):
        strict_yaml.validator(schema)
    session = boto3.Session("nobody", "nothing", region_name="us-east-1")
    session._session.register_component("data_loader", calls.descriptions())
    for service in _SERVICES:
        session.client(service)
    matplotlib.backends.backend_registry.list_all()  # looks through all that is installed
    plots.bars("A picture", "", ["once"], [1])
    pd.DataFrame({"once": [1]})._repr_html_()


_do_once()
gc.collect()
gc.freeze()  # what the collector does not touch stays shared
