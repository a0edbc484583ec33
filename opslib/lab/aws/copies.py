"""What moto and the corrections hold: copied, put back, or taken away by account."""

from __future__ import annotations

import copy
import copyreg
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import psycopg
from moto.awslambda.models import LambdaStorage
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.model_instances import reset_model_data
from moto.moto_api._internal import mock_random
from moto.s3.models import s3_backends
from moto.s3.utils import _VersionedKeyStore
from psycopg.conninfo import make_conninfo


class Copy:
    """All that moto's backends and some dicts held at one time.

    A backend and what is `lasting` stay the objects that they are; all that they hold is copied,
    and copied again each time that it is put back. A database connection is opened anew.
    """

    def __init__(self, held: Iterable[dict[Any, Any]], lasting: Iterable[object]) -> None:
        self._backends = _backends()
        self._held = [s3_backends.bucket_accounts, *held]
        self._lasting = [*lasting, *self._backends]
        live = [*map(vars, self._backends), *self._held]
        self._kept = self._copied(live)
        self._random = mock_random.getstate()

    def put_back(self) -> None:
        """Everything is as it was. What was held meanwhile is garbage now."""
        mine = set(map(id, self._backends))
        for backend in _backends():
            if id(backend) not in mine:
                backend.reset()
        reset_model_data()  # moto keeps every object that it ever made in lists beside its backends
        copied = self._copied(self._kept)
        for backend, values in zip(self._backends, copied, strict=False):
            backend.__dict__ = values
        for held, values in zip(self._held, copied[len(self._backends) :], strict=True):
            held.clear()
            held.update(values)
        mock_random.setstate(self._random)

    def _copied(self, what: Sequence[dict[Any, Any]]) -> list[dict[Any, Any]]:
        memo: dict[int, Any] = {id(each): each for each in self._lasting}
        copied: list[dict[Any, Any]] = copy.deepcopy(list(what), memo)
        return copied


@dataclass
class _Login:
    """A connection that was open."""

    conninfo: str
    autocommit: bool

    def __deepcopy__(self, memo: dict[int, Any]) -> psycopg.Connection[Any]:
        return psycopg.connect(self.conninfo, autocommit=self.autocommit)


def _login(connection: psycopg.Connection[Any]) -> tuple[type, tuple[str, bool]]:
    info = connection.info
    conninfo = make_conninfo(**info.get_parameters(), password=info.password)
    return _Login, (conninfo, connection.autocommit)


def _copied_storage(self: LambdaStorage, memo: dict[int, Any]) -> LambdaStorage:
    """As by default, but what it refers to weakly is copied as well."""
    new = memo[id(self)] = LambdaStorage.__new__(LambdaStorage)
    for name, value in vars(self).items():
        if isinstance(value, WeakValueDictionary):
            vars(new)[name] = WeakValueDictionary(copy.deepcopy(dict(value), memo))
        else:
            vars(new)[name] = copy.deepcopy(value, memo)
    return new


def _copied_versions(self: _VersionedKeyStore, memo: dict[int, Any]) -> _VersionedKeyStore:
    """With every version of each object: by default the newest alone would be copied."""
    new = memo[id(self)] = _VersionedKeyStore()
    for key, versions in self.lists():
        dict.__setitem__(new, key, copy.deepcopy(versions, memo))
    return new


LambdaStorage.__deepcopy__ = _copied_storage
_VersionedKeyStore.__deepcopy__ = _copied_versions
copyreg.pickle(psycopg.Connection, _login)
copyreg.pickle(threading.Condition, lambda condition: (threading.Condition, ()))
copyreg.pickle(type(threading.Lock()), lambda lock: (threading.Lock, ()))
copyreg.pickle(type(threading.RLock()), lambda lock: (threading.RLock, ()))


def forget(account: str) -> None:
    """Empties every backend of an account."""
    for backend in _backends():
        if backend.account_id == account:
            backend.reset()


def _backends() -> list[BaseBackend]:
    """Every backend that moto has made since it was reset."""
    return [
        backend
        for held in list(BackendDict._instances)
        for _, _, backend in list(held.iter_backends())
    ]
