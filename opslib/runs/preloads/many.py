"""What most procedures do, done once before the kernels of a batch are forked: its imports, caches
and compiled patterns are there after the fork. `one` is imported before it.
"""

import gc
import importlib
import pkgutil

import boto3
import matplotlib.backends
import pandas as pd

import opslib
from opslib.core import strict_yaml
from opslib.core.checks import plots
from opslib.core.connections import calls

_NOT_IN_KERNELS = {"__main__", "catalogue", "cli", "pages", "runs"}
_DRIVERS = ("psycopg", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite")
_SERVICES = strict_yaml.beside(__file__, "services")


def _do_once() -> None:
    rooms = {module.name for module in pkgutil.iter_modules(opslib.__path__)} - _NOT_IN_KERNELS
    for name in (*_DRIVERS, *(f"opslib.{room}" for room in sorted(rooms))):
        importlib.import_module(name)
    for schema in ("target", "runbook"):
        strict_yaml.validator(schema)
    session = boto3.Session("nobody", "nothing", region_name="us-east-1")
    session._session.register_component("data_loader", calls.descriptions())
    for service in _SERVICES:
        session.client(service)
    calls.descriptions().list_available_services("paginators-1")  # looks through all folders
    matplotlib.backends.backend_registry.list_all()  # looks through all that is installed
    plots.bars("A picture", "", ["once"], [1])
    pd.DataFrame({"once": [1]})._repr_html_()


_do_once()
gc.freeze()
