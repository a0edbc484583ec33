"""Objects that an app makes from others have no row, and are no orphans."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from opslib import Refused
from opslib.buckets import orphans, scans
from opslib.buckets.derived import Rows
from opslib.core.connections.connection import Connection
from tests.conftest import PracticeLab
from tests.rooms import LIBRARY

TARGET = "lab/bluemoxon-staging"
NAME = "bluemoxon-staging-images"
PREFIX = "books/"
KEYS = ["515/cover.jpg", "515/back-2.jpg", "620/cover.jpg", "0a1b2c3d4e.png", "7/1.jpeg"]


def rows(*more: str) -> Rows:
    return Rows([*KEYS, *more], PREFIX)


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("515/thumb_cover.jpg", "thumb_{key}"),
        ("thumb_0a1b2c3d4e.png", "thumb_{key}"),
        ("515/cover_small.jpg", "{stem}_small.jpg"),
        ("515/cover.webp", "{stem}.webp"),
        ("resized/800/515/cover.jpg", "resized/800/{key}"),
        ("resized/515/cover.avif", "resized/{stem}.avif"),
        ("515/cover.jpg.gz", "{key}.gz"),
        ("7/1.webp", "{stem}.webp"),
        ("thumbs/0a1b2c3d4e.png", "thumbs/{key}"),
        ("7/thumb_1.jpeg", "thumb_{key}"),
        ("515/resized/cover.jpg", "resized/{key}"),
        ("515/thumbs/800/cover.webp", "thumbs/800/{stem}.webp"),
        ("resized/800/7/1.jpeg", "resized/800/{key}"),
    ],
)
def test_what_is_derived_is_recognised_and_its_pattern_fits(key: str, pattern: str) -> None:
    assert rows().likeness(key) == pattern
    assert rows().fits(key, [pattern])


@pytest.mark.parametrize(
    "key", ["431/cover.jpg", "515/front.jpg", "515/back-3.jpg", "7/2_1.jpeg", "8/1.jpeg", "x.png"]
)
def test_what_only_has_a_like_name_is_not_derived(key: str) -> None:
    assert rows().likeness(key) == ""
    assert rows().around([key]) == set()


@pytest.mark.parametrize(
    ("key", "patterns"),
    [
        ("thumb_gone.png", ["thumb_{key}"]),
        ("431/thumb_cover.jpg", ["thumb_{key}"]),
        ("515/cover_small.jpg", ["thumb_{key}", "{stem}.webp"]),
        ("resized/800/deep/515/cover.jpg", ["resized/*/{key}"]),
        ("515/thumb_cover+jpg", ["thumb_{key}"]),
    ],
)
def test_a_pattern_fits_only_beside_a_row(key: str, patterns: list[str]) -> None:
    assert not rows().fits(key, patterns)


def test_any_size_and_any_folder_can_be_described() -> None:
    assert rows().fits("resized/800/515/cover.jpg", ["resized/*/{key}"])
    assert rows().fits("w200/515/cover.webp", ["w*/{stem}.webp"])
    assert rows().fits("flat/back-2.jpg", ["flat/{name}"])
    assert rows().fits("515/cover/cover_small.jpg", ["{stem}/{stem}_small.jpg"])


def test_an_original_whose_row_names_what_was_made_of_it_is_none() -> None:
    assert rows("8/x9y_large.jpg").around(["8/x9y.tiff", "8/other.tiff"]) == {"8/x9y.tiff"}


@pytest.fixture
def thumbs(ops: Connection, lab: PracticeLab) -> Iterator[Connection]:
    """A thumbnail beside each of twenty images that have a row, and two orphans."""
    with lab.broken("orphans"):
        seen = scans.scan(ops, "images")
        nameless = set(seen.orphans["key"])
        some = [key for key in seen.objects["key"] if key not in nameless][:20]
        added = [f"{PREFIX}thumb_{key.removeprefix(PREFIX)}" for key in some]
        for key in added:
            ops.call("s3", "put_object", Bucket=NAME, Key=key, Body=b"jpeg")
        yield ops
        for key in added:
            found = ops.call("s3", "list_object_versions", Bucket=NAME, Prefix=key)
            for version in found["Versions"]:
                at = {"Key": key, "VersionId": version["VersionId"]}
                ops.call("s3", "delete_object", Bucket=NAME, **at)


def test_many_undescribed_thumbnails_are_unknown_and_refused(
    thumbs: Connection, lab: PracticeLab
) -> None:
    before = lab.state()
    first = orphans.check_orphans(thumbs, "images")[0]
    assert first.status == "unknown"
    assert "orphans.images.derived; it looks like thumb_{key}" in first.seen
    with pytest.raises(Refused, match=r"20 of 43 objects without a row.*Nothing was deleted"):
        orphans.plan_delete(thumbs, "images", max_share_percent=100)
    assert lab.state() == before


def test_described_thumbnails_are_no_orphans_and_stay(
    thumbs: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(thumbs.target["orphans"]["images"], "derived", ["thumb_{key}"])
    first = orphans.check_orphans(thumbs, "images")[0]
    assert first.seen.startswith("23 of")
    assert "20 are derived from objects that have a row" in first.seen
    plan = orphans.plan_delete(thumbs, "images")
    assert "thumb_" not in str(plan.steps)
    assert sum(step.before["objects"] for step in plan.steps) == 23


def test_a_few_that_are_named_after_an_object_with_a_row_are_left_alone(
    thumbs: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "FEW", 0.9)
    plan = orphans.plan_delete(thumbs, "images")
    assert "thumb_" not in str(plan.steps)
    assert "20 are left alone: they are named after objects that have a row." in plan.notes


def test_a_plan_deletes_a_bounded_number(
    thumbs: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(thumbs.target["orphans"]["images"], "derived", ["thumb_{key}"])
    monkeypatch.setattr(orphans, "_MOST", 10)
    plan = orphans.plan_delete(thumbs, "images")
    assert sum(step.before["objects"] for step in plan.steps) == 10
    assert "13 more are for another run: a plan holds at most 10." in plan.notes


def test_objects_of_another_kind_below_the_prefix_are_not_looked_at(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ops.target["orphans"]["listings"], "prefix", "books/listings/")
    key = "books/listings/9/photo.jpeg"
    ops.call("s3", "put_object", Bucket=NAME, Key=key, Body=b"jpeg")
    try:
        assert key not in set(scans.scan(ops, "images").objects["key"])
        assert key in set(scans.scan(ops, "listings").orphans["key"])
    finally:
        (version,) = ops.call("s3", "list_object_versions", Bucket=NAME, Prefix=key)["Versions"]
        ops.call("s3", "delete_object", Bucket=NAME, Key=key, VersionId=version["VersionId"])


@pytest.mark.slow
def test_no_refusal_tells_to_raise_its_guard() -> None:
    """A guard that says how to get round it is none."""
    told = {}
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Refused"):
                texts = [c.value for c in ast.walk(node) if isinstance(c, ast.Constant)]
                told[f"{path.name}:{node.lineno}"] = " ".join(map(str, texts))
    assert len(told) > 50
    loosens = re.compile(
        r"\b(raise|increase|loosen)\b|\ba (higher|larger|greater) (?!limit, or)|\bgive \w+ = "
        r"|run again with|\b(max|min)_\w+",
        re.IGNORECASE,
    )
    assert {at: text for at, text in told.items() if loosens.search(text)} == {}
