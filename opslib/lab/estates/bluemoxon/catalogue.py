"""The app's own endpoints: books, their images, and the jobs about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import dict_row

from opslib.lab.estates.bluemoxon import buckets, databases, jobs, names
from opslib.lab.places import Place
from opslib.lab.traffic.requests import Answer, Problem, Request

_LISTED = 50


def books(request: Request) -> Answer:
    """`limit` (50) and `offset` (0)."""
    limit, offset = _number(request, "limit", _LISTED), _number(request, "offset", 0)
    with databases.connect(request.place) as database:
        cursor = database.cursor(row_factory=dict_row)
        rows = cursor.execute("SELECT * FROM books ORDER BY id LIMIT %s OFFSET %s", [limit, offset]).fetchall()
        total = database.execute("SELECT count(*) FROM books").fetchone()
    return 200, {"items": rows, "total": total[0] if total else 0}


def book(request: Request) -> Answer:
    """A book, with what its latest jobs came to."""
    place, number = request.place, request.ids[0]
    with databases.connect(place) as database:
        row = _book(database, number)
        for kind in jobs.KINDS:
            latest = jobs.latest(place, database, kind, number)
            row[str(place.facts["jobs"][kind]["field"])] = latest.status if latest else None
            if latest and latest.status == "failed":
                row["analysis_issues"].append(f"{kind}: {latest.error_message}")
    return 200, row


def images(request: Request) -> Answer:
    """A book's images: key as the table has it, address, size in the bucket (0: the object is missing)."""
    place, prefix = request.place, names.prefix(request.place, "images")
    with databases.connect(place) as database:
        _book(database, request.ids[0])
        rows = database.execute(
            "SELECT id, s3_key, display_order FROM book_images WHERE book_id = %s ORDER BY display_order, id",
            [request.ids[0]],
        ).fetchall()
    return 200, [
        {"id": row[0], "s3_key": row[1], "display_order": row[2], "bytes": buckets.size(place, prefix + row[1])}
        for row in rows
    ]


def status(kind: str, request: Request) -> Answer:
    """The latest job of a book. Asking marks a stale one as failed."""
    place, number = request.place, request.ids[0]
    with databases.connect(place) as database:
        _book(database, number)
        jobs.fail_stale(place, database, kind, number)
        latest = jobs.latest(place, database, kind, number)
    if latest is None:
        raise Problem(404, f"No {kind} job for book {number}")
    return 200, {"job_id": latest.id, **{k: v for k, v in latest._asdict().items() if k != "id"}}


def generate(kind: str, request: Request) -> Answer:
    """Queues a job. A stale one is marked as failed first; while another is open it is refused (409)."""
    place, number = request.place, request.ids[0]
    model = request.json().get("model", "sonnet")
    if model not in jobs.MODELS:
        raise Problem(422, f"model must be one of {', '.join(jobs.MODELS)}")
    with databases.connect(place) as database:
        _book(database, number)
        jobs.fail_stale(place, database, kind, number)
        latest = jobs.latest(place, database, kind, number)
        if latest and latest.status in ("queued", "running") and latest.created_at > place.now() - timedelta(hours=1):
            raise Problem(409, f"{kind} job {latest.id} of book {number} is {latest.status}")
        made = jobs.start(place, database, kind, number, model)
    return 202, {"job_id": made.id, "book_id": number, "status": made.status, "model": model}


def listings(request: Request) -> Answer:
    with databases.connect(request.place) as database:
        cursor = database.cursor(row_factory=dict_row)
        rows = cursor.execute("SELECT * FROM listings ORDER BY created_at DESC LIMIT %s", [_LISTED]).fetchall()
    return 200, {"items": rows, "total": len(rows)}


def stats(request: Request) -> Answer:
    counts = {}
    with databases.connect(request.place) as database:
        for table in ("books", "book_images", "listings", "users"):
            row = database.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            counts[table] = row[0] if row else 0
    return 200, counts


def routes() -> dict[tuple[str, str], Callable[[Request], Answer]]:
    """(method, pattern of the path): what answers it."""
    found: dict[tuple[str, str], Callable[[Request], Answer]] = {
        ("GET", r"/books"): books,
        ("GET", r"/books/(\d+)"): book,
        ("GET", r"/books/(\d+)/images"): images,
        ("GET", r"/listings"): listings,
        ("GET", r"/stats"): stats,
    }
    for kind in jobs.KINDS:
        found["GET", rf"/books/(\d+)/{kind}/status"] = partial(status, kind)
        found["POST", rf"/books/(\d+)/{kind}/generate-async"] = partial(generate, kind)
    return found


def _book(database: psycopg.Connection[Any], number: int) -> dict[str, Any]:
    row: dict[str, Any] | None
    row = database.cursor(row_factory=dict_row).execute("SELECT * FROM books WHERE id = %s", [number]).fetchone()
    if row is None:
        raise Problem(404, f"No book {number}")
    return row


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdigit():
        raise Problem(422, f"{name} must be a number, not {text!r}")
    return int(text)


def payload_bytes(place: Place, database: psycopg.Connection[Any], book_id: int) -> tuple[int, int]:
    """(how many images a book has, how many bytes they are as base64): what a request to the model holds."""
    prefix = names.prefix(place, "images")
    rows = database.execute("SELECT s3_key FROM book_images WHERE book_id = %s", [book_id]).fetchall()
    return len(rows), sum((buckets.size(place, prefix + key) + 2) // 3 * 4 for (key,) in rows)
