"""Drills in what the API's address answers."""

from __future__ import annotations

from collections.abc import Callable

from opslib.lab.places import Drill, Place

SLOW_SECONDS = 3.0
_FOUND_BY = ("health/quick", "health/deep", "reports/daily")


def _set(kind: str, seconds: float = 0.0) -> Callable[[Place], None]:
    def apply(place: Place) -> None:
        place.faults["api"] = {"kind": kind, "seconds": seconds}

    return apply


def clear(place: Place) -> None:
    place.faults.pop("api", None)


DRILLS = (
    Drill(
        "api-unreachable", "The API does not answer at all", "Connections to the API are closed without an answer.",
        _set("unreachable"), clear, found_by=_FOUND_BY,
    ),
    Drill(
        "api-slow", "Every answer of the API takes 3 seconds", "Something before the app holds each request back.",
        _set("slow", SLOW_SECONDS), clear, found_by=_FOUND_BY,
    ),
    Drill(
        "api-html", "The API answers 200 with a web page", "The name leads to a parking page instead of the API.",
        _set("html"), clear, found_by=_FOUND_BY,
    ),
    Drill(
        "api-404", "Every path of the API answers 404", "API Gateway has lost its routes.",
        _set("404"), clear, found_by=_FOUND_BY,
    ),
)  # fmt: skip
