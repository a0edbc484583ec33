"""What a picture shows: units, names, marks."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from PIL import Image

from opslib.core.checks import drawing, marks, panels, plots
from opslib.core.errors import UsageError
from opslib.core.findings import Findings
from opslib.core.times import Window

END = datetime(2026, 11, 26, 10, tzinfo=UTC)
DAY = Window(END - timedelta(hours=24), END)


def line(name: str, *values: float) -> plots.Line:
    times = pd.date_range(DAY.start, periods=len(values), freq="5min")
    return plots.Line(name, pd.Series(values, times, dtype=float))


def marked(*rows: tuple[float, str, str]) -> pd.DataFrame:
    made = [{"time": END - timedelta(hours=ago), "what": w, "kind": k} for ago, w, k in rows]
    return pd.DataFrame(made, columns=list(plots.MARKS))


@pytest.mark.parametrize(
    ("unit", "value", "shown", "of"),
    [
        ("s", 0.04, "ms", 40),
        ("s", 7200, "min", 120),
        ("s", 30, "s", 30),
        ("s", 864000, "d", 10),
        ("bytes", 4e9, "GB", 4),
        ("bytes", 12, "bytes", 12),
        ("ms", 4000, "ms", 4000),
    ],
)
def test_an_axis_counts_in_the_unit_that_it_names(
    unit: str, value: float, shown: str, of: float
) -> None:
    panel = plots.Panel("p", unit, [line("x", value)], [("warn", value)]).scaled()
    assert panel.unit == shown
    assert panel.lines[0].values.iloc[0] == pytest.approx(of)
    assert panel.thresholds[0][1] == pytest.approx(of)


def test_more_lines_than_can_be_told_apart_leave_the_lowest_without_a_name() -> None:
    panel = plots.Panel("p", "count", [line(f"fn-{n}", n) for n in range(13)])
    first, others = panel.told_apart()
    assert [each.label for each in first] == [f"fn-{n}" for n in range(6, 13)]
    assert len(others) == 6
    looks = {(colour, stroke) for colour, stroke in drawing.looks(panels.NAMED)}
    assert len(looks) == panels.NAMED


def test_names_beside_lines_leave_out_what_all_begin_with() -> None:
    names = panels.short_labels([line("bluemoxon-staging-api"), line("bluemoxon-staging-worker")])
    assert names == ["api", "worker"]
    assert panels.short_labels([line("p50"), line("p95")]) == ["p50", "p95"]
    names = panels.short_labels([line("api Invocations Sum"), line("cleanup Invocations Sum")])
    assert names == ["api", "cleanup"]


def test_marks_are_lines_in_every_panel_and_are_told_in_words() -> None:
    happened = marked((3, "version 7 (git da76d67) live", "deployment"), (30, "long ago", "change"))
    found = plots.Plotted([], None, "", [plots.Panel("p", "ms", [line("x", 3, 4)])], DAY)
    plain, drawn = plots.draw(found), plots.draw(found, marks=happened)
    assert drawn.png != plain.png
    assert "Marked: 07:00 deployment: version 7 (git da76d67) live." in drawn.words
    assert "long ago" not in drawn.words
    brought = plots.Plotted([], None, "", found.panels, DAY, marks=happened)
    assert plots.draw(brought).png == drawn.png
    assert plots.draw(found, marks=Findings(evidence=happened)).png == drawn.png


def test_marks_in_one_place_are_one_line_named_by_the_worst() -> None:
    rows = marked((3.05, "UpdateAlias", "change"), (3, "api-errors", "alarm"), (1, "x", "mine"))
    [first, second] = marks.strokes(marks.within(DAY, [rows]), DAY)
    assert (first.kind, first.label) == ("alarm", "api-errors +1")
    assert second.kind == "mine"


def test_no_label_of_a_mark_lies_on_another() -> None:
    names = ["detected", "acknowledged", "a-alarm-with-a-long-name", "mitigated", "resolved"]
    strokes = [
        marks.Stroke(END - timedelta(minutes=150 - 35 * n), "change", name)
        for n, name in enumerate(names)
    ]
    figure = drawing._figure(1000, 320)
    axis = figure.subplots()
    drawing._panel(axis, plots.Panel("p", "count", [line("x", 3, 4)]), DAY, None, strokes)
    drawing._png(figure)
    boxes = [text.get_window_extent() for text in axis.texts if text.get_text().strip() in names]
    assert len(boxes) == len(names)
    assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


def test_a_table_that_is_no_table_of_marks_is_refused() -> None:
    found = plots.Plotted([], None, "", [plots.Panel("p", "ms", [])], DAY)
    with pytest.raises(UsageError, match=r"Marks need the columns time and what.*time is not"):
        plots.draw(found, marks=pd.DataFrame({"what": ["x"]}))


@pytest.mark.slow
def test_bars_lie_on_each_other_and_the_picture_stays_small_and_white() -> None:
    kinds = [line(name, *([5.0] * 200)) for name in ("a", "b", "c")]
    png = plots.page([plots.Panel("p", "lines", kinds, bar_minutes=5)] * 4, DAY)
    image = Image.open(io.BytesIO(png)).convert("RGB")
    assert image.size == (1000, 500)
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert len(png) < 40_000


def test_a_picture_has_its_words_for_who_does_not_see_it_wherever_it_is_opened() -> None:
    data, _ = plots.Picture(b"png", 'errors: "now" 3 < 5')._repr_mimebundle_()
    words = 'alt="errors: &quot;now&quot; 3 &lt; 5" src="data:image/png;base64,cG5n">'
    assert data["text/html"].endswith(words)
    assert "text/html" not in plots.Picture(b"", "Nothing to draw")._repr_mimebundle_()[0]
