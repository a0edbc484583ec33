"""The rows of the app: books, their images, listings. Keys of images are stored without the bucket's prefix.

Staging is an older copy of production: fewer books and listings under the same keys, other values.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from opslib.lab.estates.bluemoxon import names
from opslib.lab.estates.bluemoxon.titles import TITLES
from opslib.lab.places import Place

FIRST_ID = 470
_BOOKS = {"production": 68, "staging": 58}
_LISTINGS = {"production": 60, "staging": 48}


class Image(NamedTuple):
    id: int
    book_id: int
    s3_key: str
    display_order: int
    created_at: datetime


class Listing(NamedTuple):
    id: int
    source: str
    item: str
    title: str
    price_cents: int
    image_key: str
    created_at: datetime


def books(place: Place) -> list[tuple[Any, ...]]:
    """Rows of `books`: id, title, author, publisher, year, binding, value_cents, created_at."""
    rng = names.generator(place, "books")
    rows = []
    for index, (title, author, publisher, year, binding) in enumerate(TITLES[: _BOOKS[place.target.environment]]):
        bought = names.start(place) - timedelta(days=400 - 5 * index, minutes=rng.randrange(600))
        value = rng.randrange(80, 2400) * 100
        rows.append((FIRST_ID + index, title, author, publisher, int(year), binding, value, bought))
    return rows


def images(place: Place) -> list[Image]:
    """Rows of `book_images`: three to seven for each book, photographed within two days of buying it."""
    rng = names.shared_generator(place, "images")
    rows: list[Image] = []
    for book in books(place):
        for order in range(rng.randrange(3, 8)):
            taken = book[-1] + timedelta(days=1, minutes=7 * order)
            key = f"{book[0]}/{order:02d}-{rng.getrandbits(32):08x}.jpeg"
            rows.append(Image(9000 + len(rows), book[0], key, order, taken))
    return rows


def listings(place: Place) -> list[Listing]:
    """Rows of `listings`: what the scraper found in the last two weeks."""
    rng = names.shared_generator(place, "listings")
    rows = []
    for index in range(_LISTINGS[place.target.environment]):
        item = str(rng.randrange(110_000_000_000, 399_999_999_999))
        title = f"{rng.choice(TITLES)[0]}, first edition"
        found = names.start(place) - timedelta(days=14 * (1 - index / 62), minutes=rng.randrange(120))
        price = rng.randrange(20, 900) * 100
        rows.append(Listing(300 + index, "ebay", item, title, price, f"{item}/photo-1.jpeg", found))
    return rows


def fill(place: Place, database: psycopg.Connection[Any]) -> None:
    columns = "id, title, author, publisher, year, binding, value_cents, created_at"
    copy(database, f"books ({columns})", books(place))
    copy(database, "book_images", images(place))
    copy(database, "listings", listings(place))


def copy(database: psycopg.Connection[Any], table: str, rows: list[Any]) -> None:
    """Many rows into a table, named with its columns where they are not all given."""
    with database.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as writer:
        for row in rows:
            writer.write_row(row)
