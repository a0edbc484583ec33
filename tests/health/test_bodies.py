"""Bodies as frameworks write them: well, ill, or not understood, of the whole and of each part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from opslib.health import bodies, words

BODIES = Path(__file__).parent / "bodies"
EXPECTED: dict[str, Any] = yaml.safe_load((BODIES / "expected.yaml").read_text())


@pytest.mark.parametrize("file", EXPECTED)
def test_a_body_is_read_as_its_framework_means_it(file: str) -> None:
    said = {each.name: each.status for each in bodies.read((BODIES / file).read_text("utf-8"))}
    parts = said.copy()
    assert {"whole": parts.pop("", None), "parts": parts} == {"whole": None, "parts": {}} | (
        EXPECTED[file]
    )


def test_every_body_has_its_expectation() -> None:
    assert {path.name for path in BODIES.iterdir()} == {*EXPECTED, "expected.yaml"}


def test_where_it_stands_why_and_how_long_is_told() -> None:
    body = (
        '{"checks": {"s3": {"status": "error", "reason": "gone"}, "q": {"ok": 1, "timeMs": 2.5}}}'
    )
    s3, queue = bodies.read(body)
    assert (s3.told, s3.reason, s3.latency_ms) == ("checks.s3.status: error", "gone", None)
    assert (queue.status, queue.latency_ms) == ("ok", 2.5)
    (odd,) = bodies.read('{"checks": {"ledger": "closing the books"}}')
    assert (odd.status, odd.told) == ("unclear", "checks.ledger: closing the books")


@pytest.mark.parametrize(
    ("name", "when_true", "when_false"),
    [
        ("ready", "ok", "failed"),
        ("is_ready", "ok", "failed"),
        ("not_ready", "failed", "ok"),
        ("db_unreachable", "failed", "ok"),
        ("timed_out", "failed", "ok"),
        ("maintenance_mode", "degraded", "ok"),
        ("disabled", "skipped", ""),
    ],
)
def test_a_truth_is_judged_by_the_meaning_of_its_name(
    name: str, when_true: str, when_false: str
) -> None:
    meant = words.meaning(name)
    assert meant is not None
    assert [words.judged(meant.status, value, name) for value in (True, False)] == [
        when_true,
        when_false,
    ]


@pytest.mark.parametrize("name", ["beta", "leader", "debug_level", "last_error", "error_rate"])
def test_other_names_mean_nothing(name: str) -> None:
    assert words.meaning(name) is None


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("All systems operational", "ok"),
        ("ok, but the cache is slow", "degraded"),
        ("error: connection refused", "failed"),
        ("not connected", "failed"),
        ("last seen alive three days ago", ""),
        ("closing the books", ""),
        ("", ""),
    ],
)
def test_a_sentence_is_as_its_worst_word(text: str, status: str) -> None:
    assert words.status(text) == status
