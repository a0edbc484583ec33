"""What moto and the corrections hold: copied, put back, or taken away by account."""

import copyreg
import functools
import io
import pickle
import threading
import types
import weakref
from collections.abc import Iterable
from typing import Any, TypeVar

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.constants import MISSING
from moto.core.model_instances import reset_model_data
from moto.moto_api._internal import mock_random
from moto.s3.models import s3_backends
from moto.s3.utils import _VersionedKeyStore
from psycopg.conninfo import make_conninfo

Kind = TypeVar("Kind")
# Of code there is no copy, wherever it stands: classes and functions are made in functions, too.
# Keys and certificates never change.
_AS_IT_IS = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    functools._lru_cache_wrapper,
    weakref.ref,
    ec.EllipticCurvePrivateKey,
    rsa.RSAPrivateKey,
    x509.Certificate,
)
_LASTING: list[type] = []
_MANY = 100  # of them in a list


def lasting(kind: type[Kind]) -> type[Kind]:
    """Objects of this class are not copied: nothing of them changes.

    Or they let go of what does by their method `forget()`, which is called at each put_back().
    """
    _LASTING.append(kind)
    return kind


class Copy:
    """All that moto's backends and some dicts held at one time.

    A backend and what is `lasting` stay the objects that they are; all that they hold is made
    again each time that it is put back. A database connection is opened anew.
    """

    def __init__(self, held: Iterable[dict[Any, Any]], lasting: Iterable[object]) -> None:
        self._backends = _backends()
        self._held = [s3_backends.bucket_accounts, *held]
        written = io.BytesIO()
        writer = Writer(written, [*lasting, *self._backends, MISSING])
        writer.dump([*map(vars, self._backends), *self._held])
        self._written, self._lasting = written.getvalue(), writer.lasting
        own = tuple(_LASTING)
        mine = (each for each in self._lasting if isinstance(each, own))
        self._forgetful = [each for each in mine if hasattr(each, "forget")]
        self._random = mock_random.getstate()

    def put_back(self) -> None:
        """Everything is as it was. What was held meanwhile is garbage now."""
        mine = set(map(id, self._backends))
        for backend in _backends():
            if id(backend) not in mine:
                backend.reset()
        reset_model_data()  # moto keeps every object that it ever made in lists beside its backends
        for each in self._forgetful:
            each.forget()
        made = Reader(self._written, self._lasting).load()
        for backend, values in zip(self._backends, made, strict=False):
            backend.__dict__ = values
        for held, values in zip(self._held, made[len(self._backends) :], strict=True):
            held.clear()
            held.update(values)
        mock_random.setstate(self._random)


def _login(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    info = connection.info
    conninfo = make_conninfo(**info.get_parameters(), password=info.password)
    return functools.partial(psycopg.connect, autocommit=connection.autocommit), (conninfo,)


def _versions(store: _VersionedKeyStore) -> tuple[Any, ...]:
    """With every version of each object: by default the newest alone would be copied."""
    return _VersionedKeyStore, (), dict(store.lists()), None, None, dict.update


def _weakly(held: weakref.WeakValueDictionary[Any, Any]) -> tuple[Any, ...]:
    made = weakref.WeakValueDictionary
    return made, (), dict(held), None, None, made.update


class _Many(tuple[object, ...]):
    """A list of many that are not copied, which is."""


class Writer(pickle.Pickler):
    """In place of what is not copied its place among those stands in the bytes."""

    dispatch_table = copyreg.dispatch_table | {
        psycopg.Connection: _login,
        threading.Condition: lambda condition: (threading.Condition, ()),
        type(threading.Lock()): lambda lock: (threading.Lock, ()),
        type(threading.RLock()): lambda lock: (threading.RLock, ()),
        weakref.WeakValueDictionary: _weakly,
        _VersionedKeyStore: _versions,
    }

    def __init__(self, file: io.BytesIO, lasting: list[object]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.lasting = lasting
        self._places = {id(each): at for at, each in enumerate(lasting)}
        self._lists: list[object] = []  # kept, so that no other has the id of one
        self._kinds = (*_AS_IT_IS, *_LASTING)
        self._staying: dict[type, bool] = {}  # some of them are asked dearly whether they are one

    def persistent_id(self, of: Any) -> int | None:
        place = self._places.get(id(of))
        if place is None:
            many = type(of) is list and len(of) > _MANY and all(map(self._stays, of))
            if many or self._stays(of):
                place = self._places[id(of)] = len(self.lasting)
                self.lasting.append(_Many(of) if many else of)
                self._lists += [of] * many
        return place

    def _stays(self, of: object) -> bool:
        kind = type(of)
        if kind not in self._staying:
            self._staying[kind] = issubclass(kind, self._kinds)
        return self._staying[kind]


class Reader(pickle.Unpickler):
    """Makes again what was written."""

    def __init__(self, written: bytes, lasting: list[object]) -> None:
        super().__init__(io.BytesIO(written))
        self._lasting = lasting
        self._lists: dict[int, list[object]] = {}

    def persistent_load(self, place: int) -> object:
        found = self._lasting[place]
        if type(found) is not _Many:
            return found
        if place not in self._lists:
            self._lists[place] = list(found)
        return self._lists[place]


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
