"""A version that served no request yet: whether one was to be expected."""

from __future__ import annotations

from datetime import timedelta

from opslib.core import Connection, Finding, Frame, Question
from opslib.core.reads.functions import Function, modified

_ENOUGH = 5  # requests that should have come


def judge(ops: Connection, asked: Question, function: str, found: Frame, hours: float) -> Finding:
    """No request of the live version ended in so many hours.

    That is *unknown*, and no news of a function that so seldom runs: by the requests of the others
    (rows of `versions.TRAFFIC`) and the time since it was published.
    """
    live = Function(ops, function).live()
    waited = min(ops.now() - modified(live), timedelta(hours=hours))
    others, of = int(found["requests"].sum()), f"version {live['Version']}"
    usual = others * (waited / timedelta(hours=hours))
    seen = f"no request of {of} ended in {hours:g} h"
    if usual < _ENOUGH:
        seen += f", nor was one to be expected: others had {others}"
        return asked.answer("ok", seen, rule="some requests, where there were some before")
    return asked.answer("unknown", seen, rule="some requests", next="logs/search")
