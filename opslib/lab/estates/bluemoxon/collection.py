"""What the collection holds: books, images, listings; keys in tables lack the bucket's prefix.

Staging is an older copy of production: fewer books and listings under the same keys, other values.
"""

import csv
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from opslib.lab.estates.seeding import Database
from opslib.lab.places import Place
from opslib.lab.resources import buckets, names, pictures
from opslib.lab.resources.databases import statements

with (Path(__file__).parent / "books.csv").open(encoding="utf-8") as _file:
    _BOOKS = [*csv.reader(_file, delimiter="|")][1:]
_LISTINGS = {"production": 60, "staging": 48}
_RETAKEN = 25  # in production, one image in so many was taken anew after staging was copied


class Image(NamedTuple):
    id: int
    book_id: int
    s3_key: str
    display_order: int
    created_at: datetime


def books(place: Place) -> Iterator[tuple[Any, ...]]:
    """Rows of `books`."""
    rng, (first, last) = names.generator(place, "books"), place.memory["data"].traffic.items
    for index, (title, author, publisher, year, binding) in enumerate(
        _BOOKS[: int(last - first) + 1]
    ):
        bought = timedelta(days=400 - 5 * index, minutes=rng.randrange(600))
        value, when = rng.randrange(80, 2400) * 100, names.start(place) - bought
        yield int(first) + index, title, author, publisher, int(year), binding, value, when


def images(place: Place) -> list[Image]:
    """Rows of `book_images`: three to seven of each book, taken within two days of buying it."""
    rng = names.shared_generator(place, "images")
    rows: list[Image] = []
    for book in books(place):
        for order in range(rng.randrange(3, 8)):
            taken = book[-1] + timedelta(days=1, minutes=7 * order)
            key = f"{book[0]}/{order:02d}-{rng.getrandbits(32):08x}.jpeg"
            rows.append(Image(9000 + len(rows), book[0], key, order, taken))
    return rows


def listings(place: Place) -> Iterator[tuple[Any, ...]]:
    """Rows of `listings`: what the scraper found in the last two weeks."""
    rng = names.shared_generator(place, "listings")
    for index in range(_LISTINGS[place.target.environment]):
        item = str(rng.randrange(110_000_000_000, 399_999_999_999))
        title = f"{rng.choice(_BOOKS)[0]}, first edition"
        since = timedelta(days=14 * (1 - index / 62), minutes=rng.randrange(120))
        price, found = rng.randrange(20, 900) * 100, names.start(place) - since
        yield 300 + index, "ebay", item, title, price, f"{item}/photo-1.jpeg", found


def fill(place: Place, database: Database) -> None:
    columns = "id, title, author, publisher, year, binding, value_cents, created_at"
    statements.copy(database, f"books ({columns})", books(place))
    statements.copy(database, "book_images", images(place))
    statements.copy(database, "listings", listings(place))


def photograph(place: Place) -> None:
    """An object for each row that names one."""
    for image in images(place):
        retaken = place.target.production and image.id % _RETAKEN == 0
        text = f"{image.s3_key} retaken" if retaken else image.s3_key
        put(place, "images", image.s3_key, pictures.drawn(text, "small"), image.created_at)
    for *_, key, found in listings(place):
        put(place, "listings", key, pictures.drawn(key, "small"), found)


def bucket(place: Place) -> str:
    return str(place.facts["buckets"]["images"]["name"])


def prefix(place: Place, kind: str) -> str:
    """`books/` or `listings/`: what the bucket's keys have and the tables' do not."""
    return str(place.facts["orphans"][kind]["prefix"])


def objects(place: Place, kind: str) -> dict[str, Any]:
    """What is held under a prefix, by key. KeyError when the bucket is not there."""
    return buckets.objects(place, bucket(place), prefix(place, kind))


def put(place: Place, kind: str, key: str, body: bytes, when: datetime) -> None:
    """A picture; `key` as a table has it."""
    buckets.put(place, bucket(place), prefix(place, kind) + key, body, when, "image/jpeg")


def size(place: Place, key: str) -> int:
    """Bytes of an image, 0 when it is not there."""
    return buckets.size(place, bucket(place), prefix(place, "images") + key)
