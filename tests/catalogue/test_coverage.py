"""What an operator has to be able to do has an entry that does it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opslib.catalogue import contents, coverage, runbooks

BOOKS = {system: runbooks.entries(system) for system in runbooks.systems()}


def test_each_row_has_an_entry_or_says_that_it_waits() -> None:
    assert contents.uncovered() == []


def test_the_list_is_whole() -> None:
    counted = {system: len(of) for system, of in coverage.rows(BOOKS).items()}
    assert counted == {
        "bluemoxon": 26,
        "dms": 26,
        "image-caption": 22,
        "loglineos": 19,
        "ai-studio": 24,
        "every system": 3,
    }


def test_every_system_has_what_every_system_needs() -> None:
    for row in coverage.rows(BOOKS)["every system"]:
        of = {name.partition("/")[0] for name, _ in row.ways}
        assert of in ({*BOOKS}, {"reports"})


@pytest.mark.parametrize("lost", ["bm-01", "al-02x"])
def test_a_row_that_loses_its_entry_and_a_row_that_is_none_are_told(lost: str) -> None:
    books = {
        system: [
            replace(entry, covers=("al-02x",) if entry.covers == ("bm-01",) else entry.covers)
            for entry in book
        ]
        for system, book in BOOKS.items()
    }
    told = coverage.gaps(coverage.rows(books), books)
    assert len(told) == 2
    assert any(lost in message for message in told)
