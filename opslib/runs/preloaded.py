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
import ipykernel.debugger
import ipykernel.kernelapp  # noqa: F401
import pandas as pd
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

import opslib
from opslib.core import strict_yaml
from opslib.core.checks import plots
from opslib.core.connections import calls

_NOT_IN_KERNELS = {"__main__", "catalogue", "cli", "lab", "pages", "runs"}
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


def _import_chapters() -> None:
    for module in pkgutil.iter_modules(opslib.__path__):
        if module.name not in _NOT_IN_KERNELS:
            importlib.import_module(f"opslib.{module.name}")


def _do_once() -> None:
    """What most procedures do.

    Done before the fork, its imports, caches and compiled patterns are there after it.
    """
    for schema in ("target", "runbook"):
        strict_yaml.validator(schema)
    session = boto3.Session("nobody", "nothing", region_name="us-east-1")
    session._session.register_component("data_loader", calls.descriptions())
    for service in _SERVICES:
        session.client(service)
    plots.bars("A picture", "", ["once"], [1])
    pd.DataFrame({"once": [1]})._repr_html_()


_import_chapters()
_do_once()
gc.collect()
gc.freeze()  # what the collector does not touch stays shared
