"""The house: what stands on what, what a room hands on, how large it may be."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from tests import rooms

CORE = "core"
CHAPTERS = {path.name for path in (rooms.ROOT / "notebooks").iterdir() if path.is_dir()}
FACES = [*sorted(CHAPTERS - {"edge", "network"}), "records"]
MOST_FILES, MOST_LINES, MOST_LINES_OF_THE_LAB, MOST_TOKENS = 12, 300, 385, 370_980


def test_nothing_imports_itself_by_way_of_others() -> None:
    """Also by an import inside a function, or for types only."""
    graph = rooms.arrows()
    of_code = {name: others for name, others in graph.items() if not rooms.is_face(_path(name))}
    assert rooms.circles(of_code) == []


def test_rooms_stand_on_each_other_in_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for name, others in rooms.arrows().items():
        room = rooms.room_of(name)
        if room and room != "__main__":
            graph.setdefault(room, set()).update(map(rooms.room_of, others))
    assert rooms.circles({room: others - {room, ""} for room, others in graph.items()}) == []


def _path(name: str) -> Path:
    return rooms.modules()[name]


def wrong(name: str, other: str) -> str:
    """Why a module is not to import another; "" where it may."""
    room, there = rooms.room_of(name), rooms.room_of(other)
    if there in (room, CORE, ""):
        return ""
    if room == CORE:
        return f"{name} of core imports {other}"
    if there in CHAPTERS and other != f"opslib.{there}":
        return f"{name} reaches into {other}: its face is opslib.{there}"
    if there in CHAPTERS and room not in (*CHAPTERS, "cli"):
        return f"{name} imports the chapter {there}"
    if there == "lab" and room not in ("session", "cli"):
        return f"{name} knows the lab"
    return ""


def test_a_module_knows_only_what_is_below_it() -> None:
    """Core knows no chapter; a chapter knows core and the faces of others.

    The lab is known to session and cli.
    """
    found = [wrong(name, other) for name, others in rooms.arrows().items() for other in others]
    assert [each for each in found if each] == []


def test_nobody_imports_a_neighbours_private_name() -> None:
    private = {
        (name, what)
        for name, path in rooms.modules().items()
        for _, what in rooms.imported(path)
        if what.startswith("_")
    }
    assert private == set()


@pytest.mark.parametrize("room", FACES)
def test_a_face_hands_on_what_is_pinned_in_order(room: str) -> None:
    """And holds no code. What it hands on is what notebooks, and people in a notebook, may use."""
    face = importlib.import_module(f"opslib.{room}")
    pinned = json.loads((rooms.ROOT / "tests" / "pins" / "faces.json").read_text())
    assert list(face.__all__) == pinned[room]  # in ruff's order
    assert all(hasattr(face, verb) for verb in face.__all__)
    assert rooms.size(_path(f"opslib.{room}")).lines <= 3 * len(face.__all__) + 20


def test_rooms_and_modules_are_small() -> None:
    for folder in {path.parent for path in rooms.LIBRARY.rglob("*.py")} - {rooms.LIBRARY}:
        files = [path for path in folder.glob("*.py") if not rooms.is_face(path)]
        assert len(files) <= MOST_FILES, f"{folder.name} has {len(files)} files"
    for name, path in rooms.modules().items():
        most = MOST_LINES_OF_THE_LAB if rooms.room_of(name) == "lab" else MOST_LINES
        assert len(path.read_text().splitlines()) <= most, f"{name} is long"


def test_the_library_without_its_lab_is_small() -> None:
    tokens = sum(size.tokens for room, size in rooms.sizes().items() if room != "lab")
    assert tokens <= MOST_TOKENS


def test_a_chapter_has_the_same_name_everywhere() -> None:
    for chapter in CHAPTERS:
        places = [rooms.LIBRARY / chapter, rooms.LIBRARY / f"{chapter}.py"]
        assert any(place.exists() for place in places), chapter
        tests = [rooms.ROOT / "tests" / chapter, rooms.ROOT / "tests" / f"test_{chapter}.py"]
        assert any(place.exists() for place in tests), chapter
