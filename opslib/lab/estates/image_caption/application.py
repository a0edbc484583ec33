"""What the caption generator's app answers: a Streamlit server, whose health is a word; and what
its users have put there: images, a copy of each, and captions.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.estates.seeding import Application
from opslib.lab.places import Place
from opslib.lab.resources import buckets, names, tables
from opslib.lab.traffic.requests import Answer, Request

_GONE = "90e00000-0000-4000-8000-000000000003"  # left, and nobody erased what is there
_IMAGES = (60, 24, 12)  # of each user
_TEXT = "a dog on a beach, looking at a kite in the evening light "


def health(request: Request) -> Answer:
    return 200, "ok"


def seed(place: Place) -> None:
    """Each user's images, some of them twice, some under a marker; as of a day ago all copied."""
    start, people = names.start(place), place.memory["data"].users.people
    images, backup = (place.facts["buckets"][key]["name"] for key in ("images", "backup"))
    ids = [each.id for each in people if each.id] + [_GONE]
    items: list[dict[str, Any]] = []
    for id, count in zip(ids, _IMAGES, strict=False):
        for key, at, again in _images(id, count, start):
            for name in (images, backup):
                buckets.put(place, name, key, f"{key} ".encode() * 40, at, "image/jpeg")
            if again == 1:
                for name in (images, backup):
                    buckets.put(place, name, key, f"{key}, cut ".encode() * 40, at, "image/jpeg")
            if again == 2:
                buckets.hide(place, images, key, at + timedelta(hours=1))
            items.append(_caption(id, key, at))
        items.append({"PK": {"S": f"USER#{id}"}, "SK": {"S": "PROFILE#1"}, "plan": {"S": "free"}})
    tables.put(place, place.facts["tables"]["captions"]["name"], items)


def _images(id: str, count: int, start: datetime) -> Iterator[tuple[str, datetime, int]]:
    for number in range(count):
        at = start - timedelta(days=2, hours=9 * number)
        yield f"images/{id}/{number:04}.jpg", at, number % 11


def _caption(id: str, key: str, at: datetime) -> dict[str, Any]:
    said = {"PK": f"USER#{id}", "SK": f"CAPTION#{at:%Y-%m-%dT%H:%M}", "image": key}
    return {name: {"S": value} for name, value in said.items()} | {"text": {"S": _TEXT * 4}}


APPLICATION = Application(routes={("GET", "/_stcore/health"): health}, seed=seed)
