"""The window of a whole notebook in one row: the last hour to a week, or from and to."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from opslib.core import UsageError, moment
from opslib.desk.panels import Widget, button, row, said

OWN = ("since", "until")  # the parameters that have their place here
_LAST = {"1 h": 1, "3 h": 3, "24 h": 24, "7 d": 168}


def of(controls: Mapping[str, Widget]) -> list[Widget]:
    """For a procedure that has both; where it says how far back in hours, these follow."""
    if not all(name in controls for name in OWN):
        return []
    since, until = (controls[name] for name in OWN)
    hours = controls.get("hours")
    if hours is not None:
        since.observe(partial(_reach, since, hours), "value")

    def last(many: int) -> None:
        until.value = ""
        since.value = "" if hours is not None else f"{many}h"
        if hours is not None:
            hours.value = str(float(many))

    quick = [button(words, partial(last, many)) for words, many in _LAST.items()]
    for control, tip in zip((since, until), ("2h ago, or 2026-11-22 14:05", "now"), strict=True):
        control.layout.width, control.placeholder = "19em", tip
    return [row(said("time (UTC)"), *quick, said("from"), since, said("to"), until)]


def _reach(since: Widget, hours: Widget, _: object) -> None:
    """The hours go back to where it begins."""
    with suppress(UsageError):  # told where it is set
        back = moment("0m") - moment(since.value)
        hours.value = str(float(max(1, -(-back.total_seconds() // 3600))))
