"""How loglineos begins, and how its day goes on."""

from __future__ import annotations

from datetime import datetime

from opslib.lab.estates.base import Place


def seed(place: Place) -> None:
    """Everything that the target has at the lab's start."""
    for facts in place.facts["functions"].values():
        place.logs(f"/aws/lambda/{facts['name']}", [])
    place.client("s3").create_bucket(Bucket=place.facts["terraform"]["bucket"])


def tick(place: Place, now: datetime) -> None:
    """A second of the day."""
