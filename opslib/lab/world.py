"""All that the lab holds.

Its clock, its accounts, its places with their estates, the drills that are on.
"""

import gc
import logging
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

from opslib.core import paths
from opslib.core.connections import targets
from opslib.core.errors import OpsError, UsageError, unknown_name
from opslib.lab import clients, corrections, rhythms
from opslib.lab.aws import authorizations, copies, credentials, misfits
from opslib.lab.aws.ground import Ground
from opslib.lab.aws.handlers import FunctionHandler
from opslib.lab.places import Drill, Estate, Place, load, strangers
from opslib.lab.postgres.postgres import Postgres
from opslib.lab.resources import names

_Files = dict[str, bytes]
# So old may a lab be that a reset goes back to: no job or message in it is late by then.
_YOUNG_SECONDS = 1800
log = logging.getLogger("opslib.lab")


class World(Ground[Place]):
    """The lab's state.

    Everything that changes it as a whole (seed, break, mend, reset) holds `lock`.
    """

    def __init__(self, folder: Path, seed: int, clock_offset_hours: float) -> None:
        super().__init__(seed, Postgres(folder, secrets.token_hex(16)))
        self.clock_offset_hours = clock_offset_hours  # moves the daily rhythm, not the clock
        self.lock = threading.RLock()
        self.asked = threading.Event()  # something, since the last tick
        self.places: dict[str, Place] = {}
        self.estates: dict[str, Estate] = {}
        self._seeding: set[str] = set()  # systems whose seeding has begun, or is done
        self._ready: frozenset[str] = frozenset()  # systems that are seeded
        self.skipped: dict[str, str] = {}  # target: why it is not in the lab
        self.plain: dict[str, str] = {}  # target: why it is made from its file alone
        self._copy: _Seeded | None = None
        self.broken: dict[tuple[str, str], Drill] = {}  # (target, drill)
        self.url = ""
        self.announce: Callable[[], None] = lambda: (
            None
        )  # says who is in the lab, when that changed

    def client(self, service: str, account: str, region: str, user: str) -> Any:
        return clients.in_process(self, service, account, region, user)

    def place(self, name: str) -> Place:
        """A target in the lab, by name with or without `lab/`.

        Raises UsageError with the nearest names.
        """
        key = name.removeprefix(targets.LAB)
        if key in self.places:
            self.use(self.places[key])
        if key in self.skipped:
            raise UsageError(f"Target {key!r} is not in the lab: {self.skipped[key]}")
        if key not in self.places:
            raise unknown_name(
                "target", name, [targets.LAB + each for each in self.places], " in the lab"
            )
        return self.places[key]

    def estate(self, place: Place) -> Estate:
        return strangers() if place.name in self.plain else self.estates[place.target.system]

    def handler(self, place: Place, key: str) -> FunctionHandler | None:
        return self.estate(place).functions.get(key)

    def populate(self) -> None:
        """Makes a place for every described target. A system is seeded when it is first used."""
        with self.lock:
            self.started = self.now()
            rhythms.set_anchor(self.started, self.clock_offset_hours)
            for name in targets.names():
                self._settle(name)
            for place in self.places.values():
                self._open_account(place)

    def use(self, place: Place) -> None:
        """Seeds the places of a place's system, all of them, when nobody has used one yet."""
        system = place.target.system
        if system in self._ready:
            return
        with self.lock:  # whoever comes second waits here; seeding itself comes through here, too
            if system in self._seeding:
                return
            self._seeding.add(system)
            for each in [each for each in self.places.values() if each.target.system == system]:
                self._seed_or_leave_out(each)
            self.postgres.mark_seeded()
            self._ready |= {system}

    def _seed_or_leave_out(self, place: Place) -> None:
        """A target that does not fit its system's estate is made from its file alone; one that
        cannot be is not in the lab until a reset. No other suffers.
        """
        if why := self._misfit(place):
            if self.estate(place) is not strangers() and self._is_alone(place):
                self.plain[place.name] = why
                copies.forget(place.account)
                place.memory.clear()
                place.faults.clear()
                self._open_account(place)
                if not self._misfit(place):
                    return
                del self.plain[place.name]
            self._leave_out(place, why)

    def _is_alone(self, place: Place) -> bool:
        return [each.account for each in self.places.values()].count(place.account) == 1

    def _misfit(self, place: Place) -> str:
        """Seeds it; why it cannot be. Then nothing of its databases is left."""
        databases = set(self.postgres.databases())
        try:
            self._seed(place)
        except Exception as exc:
            log.exception("seeding %s", place.name)
            # another system's of the same account may have been seeded on the way
            others = {names.database(each) for each in self.places.values() if each is not place}
            for name in set(self.postgres.databases()) - databases - others:
                self.postgres.drop_database(name)
            return misfits.said(place, exc, self.estate(place) is not strangers())
        return ""

    def _leave_out(self, place: Place, why: str) -> None:
        self.places = {name: each for name, each in self.places.items() if each is not place}
        self.skipped[place.name] = why
        if place.account not in {each.account for each in self.places.values()}:
            self.unfit[place.account] = f"Target {place.name!r} is not in the lab: {why}"
            copies.forget(place.account)

    def _seed(self, place: Place) -> None:
        began = time.monotonic()
        gc.disable()  # nothing of all that is made here is garbage
        try:
            self.estate(place).seed(place)
        finally:
            gc.enable()
            gc.freeze()
        log.info("seeded %s in %.2f s", place.name, time.monotonic() - began)

    def _settle(self, name: str) -> None:
        try:
            target = targets.load(targets.LAB + name)
        except UsageError as exc:
            self.skipped[name] = str(exc)
            return
        try:
            self.estates[target.system] = load(target.system)
        except OpsError as exc:
            self.skipped[name] = str(exc)
            return
        self.places[name] = Place(self, target)

    def _open_account(self, place: Place) -> None:
        iam = self.backend("iam", place.account, place.region)
        for user in credentials.USERS:
            if user not in iam.users:
                iam.create_user(place.region, user)
                key = iam.create_access_key(user)
                del iam.access_keys[key.access_key_id]
                key.access_key_id, key.secret_access_key = credentials.credentials(
                    place.account, user
                )
                iam.access_keys[key.access_key_id] = key
        authorizations.make_role(iam, place.target.policy.apply_role)

    def reset(self, whole: bool = False) -> None:
        """Forgets everything: state, drills, faults, settings.

        A copy of the lab as it was seeded is put back while it is young and the targets' files are
        the same; else everything that was used is seeded anew, told from now, and copied. `whole`:
        as if every system had been used.
        """
        with self.lock:
            corrections.reset()
            files = _files()
            every = {place.target.system for place in self.places.values()}
            used = frozenset(every) if whole else self._ready
            if self._copy is None or not self._copy.fits(files, used, self.now()):
                self._begin_anew(used)
                self.postgres.keep()
                self._copy = _Seeded(self, files)
                _freeze()
            else:
                self.postgres.put_back()
            self._copy.put_back(self)
            for cache in self.caches.values():
                cache.put_back()
            self.broken.clear()
            self.settings["delay_ms"] = 0
            gc.collect()  # what was held before
            self.tick()  # the day from the seeding until now
            self.announce()

    def _begin_anew(self, used: Collection[str]) -> None:
        """An empty lab, then these systems."""
        self._copy = None
        BackendDict.reset()
        reset_model_data()  # moto keeps every object that it ever made in lists beside its backends
        self.postgres.clear()
        self.places = {}
        self._seeding.clear()
        self._ready = frozenset()
        self.skipped.clear()
        self.plain.clear()
        self.unfit.clear()
        self.populate()
        for place in list(self.places.values()):
            if place.target.system in used:
                self.use(place)

    def drills(self) -> Iterator[tuple[Drill, list[Place]]]:
        """Each drill with the places it can be put into."""
        for estate in {id(each): each for each in map(self.estate, self.places.values())}.values():
            places = [place for place in self.places.values() if self.estate(place) is estate]
            for drill in estate.drills:
                if fitting := [place for place in places if drill.fits(place)]:
                    yield drill, fitting

    def break_drill(self, name: str, target: str | None = None) -> Place:
        """Puts a fault in. Raises UsageError when there is no such drill,
        or not for that target.
        """
        with self.lock:
            place = self.place(target or self._only_place(name).name)
            fitting = {
                drill.name: drill for drill in self.estate(place).drills if drill.fits(place)
            }
            if name not in fitting:
                raise unknown_name("drill", name, fitting, f" for {place.target.name}")
            if (place.name, name) not in self.broken:
                self._apply(fitting[name], place)
                self.broken[place.name, name] = fitting[name]
            return place

    def _apply(self, drill: Drill, place: Place) -> None:
        """Puts a fault in; one that cannot be put in whole is taken out again. Raises OpsError."""
        try:
            drill.apply(place)
        except Exception as exc:
            log.exception("drill %s", drill.name)
            with suppress(Exception):
                drill.undo(place)
            raise OpsError(
                f"Drill {drill.name!r} cannot be put into {place.target.name} now: {exc}. Mend "
                "the other drills first, "
                "or begin anew: opslib lab reset."
            ) from exc

    def _only_place(self, drill: str) -> Place:
        """Where a drill goes when nobody says: the only target that can have it, else of one system
        the one that is no production.
        """
        fitting = defaultdict[str, list[Place]](list)  # systems may have one of the same name
        for each, places in self.drills():
            fitting[each.name] += places
        if drill not in fitting:
            raise unknown_name("drill", drill, fitting, " (list them: opslib lab drills)")
        places = fitting[drill]
        chosen = places
        if len({place.target.system for place in places}) == 1 < len(places):
            chosen = [place for place in places if not place.target.production]
        if len(chosen) != 1:
            names = ", ".join(place.target.name for place in places)
            raise UsageError(f"Drill {drill!r} can be put into {names}: say which with -t.")
        return chosen[0]

    def mend(self, name: str | None = None, target: str | None = None) -> list[tuple[str, str]]:
        """Takes faults out, the last first: all, or those of that name or target.

        Returns (drill, target) of each.
        """
        with self.lock:
            key = self.place(target).name if target else None
            known = {drill.name for drill, _ in self.drills()}
            if name is not None and name not in known:
                raise unknown_name("drill", name, known, " (list them: opslib lab drills)")
            mended = []
            for place_name, drill_name in reversed(list(self.broken)):
                if name in (None, drill_name) and key in (None, place_name):
                    self.broken.pop((place_name, drill_name)).undo(self.places[place_name])
                    mended.append((drill_name, place_name))
            return mended

    def tick(self) -> None:
        """Lets each estate go on with its day.

        A failing one is logged and tried again at the next tick.
        """
        with self.lock:
            for name, tick in self._ticks():
                try:
                    tick()
                except Exception:
                    log.exception("tick of %s", name)

    def _ticks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "corrections", lambda: corrections.tick(self, self.now())
        for name, place in self.places.items():
            if place.target.system in self._ready:
                yield name, partial(self.estate(place).tick, place, self.now())


class _Seeded:
    """A lab in which some systems are seeded and nothing else was done, to go back to."""

    def __init__(self, world: World, files: _Files) -> None:
        self._files, self._time, self._ready = files, world.started, world._ready
        self._places = dict(world.places)
        self._about = dict(world.skipped), dict(world.unfit), dict(world.plain)
        held = [part for place in world.places.values() for part in (place.memory, place.faults)]
        self._copy = copies.Copy([*corrections.held(), *held], [world, *world.places.values()])

    def fits(self, files: _Files, ready: frozenset[str], now: datetime) -> bool:
        """Whether a lab that was begun anew would be the same but for a few minutes."""
        young = (now - self._time).total_seconds() < _YOUNG_SECONDS
        return young and (files, ready) == (self._files, self._ready)

    def put_back(self, world: World) -> None:
        world.places = dict(self._places)
        world.skipped, world.unfit, world.plain = map(dict, self._about)
        self._copy.put_back()


def _files() -> _Files:
    """What the targets' files hold."""
    folder = paths.parameters() / "targets"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.yaml"))}


def _freeze() -> None:
    """What is held now is no garbage until the lab begins anew; then it is looked through again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
