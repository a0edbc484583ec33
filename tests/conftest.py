"""One lab for the whole test session, in a folder of its own.

Healthy before and after every test that uses it.
"""

from __future__ import annotations

import functools
import gc
import inspect
import os
import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import botocore.client
import botocore.hooks
import botocore.session
import pytest

from opslib import connect
from opslib.core.connections import calls, targets
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import LAB
from tests.projects import Project

os.environ["MPLBACKEND"] = "agg"
# Thousands of connections are made here: the models of the services are read once a process.
botocore.session.create_loader = lambda _=None: calls.descriptions()
# Each has a hundred handlers, of which botocore wants to know whether they take **kwargs: its way
# makes a signature of each.
_slowly = botocore.hooks.accepts_kwargs
botocore.hooks.accepts_kwargs = lambda handler: (
    handler.__code__.co_flags & inspect.CO_VARKEYWORDS
    if hasattr(handler, "__code__")
    else _slowly(handler)
)
# Which methods a client has depends on its service alone; how an event is called on its name.
_classes: dict[str, type] = {}
_class = botocore.client.ClientCreator._create_client_class


def _known_class(self: Any, service: str, model: Any) -> type:
    if service not in _classes:
        _classes[service] = _class(self, service, model)
    return _classes[service]


botocore.client.ClientCreator._create_client_class = _known_class
_aliased = botocore.hooks.EventAliaser._alias_event_name
_names = botocore.hooks.EventAliaser(None)
botocore.hooks.EventAliaser._alias_event_name = lambda _, name: _aliased(_names, name)
# A target's file is read and checked again when it was written.
_load = targets.load


@functools.cache
def _loaded(name: str, _file: Path, _written: int, _profile: str | None) -> bytes:
    return pickle.dumps(_load(name))


def _known(name: str) -> targets.Target:
    file = targets.path(name)
    written = file.stat().st_mtime_ns if file.exists() else 0
    known: targets.Target = pickle.loads(
        _loaded(name, file, written, os.environ.get("OPSLIB_PROFILE"))
    )
    return known


targets.load = _known
# And they are garbage that is cheap to keep for a while and dear to look for.
gc.set_threshold(50_000, 20, 20)


# What takes longest goes first, dealt out to the workers: each is given a slice of the whole, in
# this order.
SLOWEST = (
    "test_drilled",
    "test_browser",
    "test_resets",
    "test_elsewhere",
    "test_policies",
    "test_matrix",
    "test_contracts",
    "test_tokens",
    "test_phases",
    "test_misfits",
    "test_pins",
    "test_migrations",
    "test_instance_restores",
    "test_process",
)
TOGETHER = ("test_browser", "test_resets")  # what begins the first of them, the others have, too


def pytest_collection_finish() -> None:
    """What was imported and collected is no garbage."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Who says what is run has all of it; workers are told by their options."""
    if hasattr(config, "workerinput"):
        return
    named = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    given = config.option
    given.slow |= given.all or named or bool(given.keyword or given.markexpr)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.option.slow:
        terminalreporter.write_line("without what is slow: ./run test --slow runs that, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.slow:
        items[:] = [item for item, turn in _turns(items) if not _is_slow(item, turn)]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for name in SLOWEST for item in items if item.path.stem == name]
    quick = [item for item in items if item.path.stem not in SLOWEST]
    hands = [
        [*hand]
        for _, hand in groupby(
            slow, lambda item: item.path if item.path.stem in TOGETHER else item.nodeid
        )
    ]
    size = -(-len(items) // workers)
    dealt = []
    for worker in range(workers):
        mine = [item for hand in hands[worker::workers] for item in hand]
        dealt += mine + quick[: size - len(mine)]
        del quick[: size - len(mine)]
    items[:] = dealt + quick


def _turns(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, int]]:
    """Each with its place among the cases of its test."""
    turns: Counter[str] = Counter()
    for item in items:
        name = item.nodeid.split("[")[0]
        yield item, turns[name]
        turns[name] += 1


def _is_slow(item: pytest.Item, turn: int) -> bool:
    """Also all but every so manieth case of what is marked `some`."""
    some = item.get_closest_marker("some")
    return bool(item.get_closest_marker("slow") or (some and turn % some.args[0]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow",
        action="store_true",
        help="also what is marked slow, as where a file, -k or -m says what is run",
    )
    parser.addoption(
        "--all",
        action="store_true",
        help="that, and each drill against every entry, not only those it concerns",
    )
    parser.addoption(
        "--write-pins", action="store_true", help="write tests/pins anew from what is made now"
    )


class PracticeLab:
    """What tests do with the lab."""

    @contextmanager
    def broken(self, drill: str, target: str = "bluemoxon-staging") -> Iterator[None]:
        from opslib import lab

        lab.break_drill(drill, target)
        try:
            yield
        finally:
            lab.mend(drill, target)

    @contextmanager
    def denied(self, operation: str, target: str = "bluemoxon-staging") -> Iterator[None]:
        """`service:Operation` is denied to everyone, as by an IAM policy."""
        from opslib import lab

        practice = lab.up()
        practice.ask("POST", "deny", target=target, operation=operation)
        try:
            yield
        finally:
            practice.ask("POST", "allow", target=target, operation=operation)

    def state(self, target: str = "bluemoxon-staging") -> dict[str, Any]:
        from opslib import lab

        return lab.state(target)

    def reset(self) -> None:
        from opslib import lab

        lab.reset()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeLab]:
    """The practice lab, up. One that OPSLIB_LAB_DIR names is used and left running.

    Parallel workers have their own.
    """
    from opslib import lab as practice

    given = os.environ.get("OPSLIB_LAB_DIR") if "PYTEST_XDIST_WORKER" not in os.environ else None
    if not given:
        os.environ["OPSLIB_LAB_DIR"] = str(tmp_path_factory.mktemp("lab"))
    practice.up()
    if "PYTEST_XDIST_WORKER" in os.environ:  # it will meet all systems; one by one costs more
        practice.reset(whole=True)
    yield PracticeLab()
    if not given:
        practice.down()


@pytest.fixture(scope="session", autouse=True)
def private(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is private to a user is not kept in this one's home."""
    os.environ.setdefault("OPSLIB_PRIVATE", str(tmp_path_factory.mktemp("private")))


@pytest.fixture
def records_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A records folder of this test's own."""
    folder = tmp_path / "records"
    monkeypatch.setenv("OPSLIB_RECORDS", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A small project of this test's own: procedures, targets, records."""
    return Project(tmp_path, monkeypatch)


@pytest.fixture
def ops(lab: PracticeLab, records_folder: Path, request: pytest.FixtureRequest) -> Connection:
    """Connected to TARGET of the test's module.

    What is applied is kept in a records folder of its own.
    """
    return connect(request.module.TARGET)


@pytest.fixture
def clean(lab: PracticeLab, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The state of the module's TARGET before the test; whatever the test left is taken away."""
    key = request.module.TARGET.removeprefix(LAB)
    before = lab.state(key)
    yield before
    if lab.state(key) != before:
        lab.reset()


@pytest.fixture
def uncalled(lab: PracticeLab) -> None:
    """What other tests asked functions to do is forgotten: they have the day's traffic alone."""
    lab.reset()


@pytest.fixture
def fresh(ops: Connection, lab: PracticeLab) -> Iterator[Connection]:
    """`ops` in a lab that is made anew afterwards: a version that was published stays."""
    yield ops
    lab.reset()
