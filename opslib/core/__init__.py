"""What every chapter is written with.

A connection, questions and findings, plans, tables, windows of time.
"""

from opslib.core.checks.checks import answer, check, unread
from opslib.core.checks.plots import Line, Panel, Plotted
from opslib.core.checks.signs import Sign, sign_of
from opslib.core.connections.connection import Connection
from opslib.core.errors import (
    NotAllowed,
    NotFound,
    OpsError,
    Refused,
    Unfinished,
    UsageError,
    unknown_name,
)
from opslib.core.findings import Finding, Findings, Question
from opslib.core.plans.actions import Action, Aws, Read, Wait
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.tables import UTC_TIME, Frame, frame
from opslib.core.text import count, number
from opslib.core.times import Window, clock, window
from opslib.core.waiting import poll

__all__ = [
    "UTC_TIME",
    "Action",
    "Aws",
    "Connection",
    "Finding",
    "Findings",
    "Frame",
    "Line",
    "NotAllowed",
    "NotFound",
    "OpsError",
    "Panel",
    "Planned",
    "Plotted",
    "Question",
    "Read",
    "Refused",
    "Sign",
    "Step",
    "Unfinished",
    "UsageError",
    "Wait",
    "Window",
    "answer",
    "check",
    "clock",
    "count",
    "frame",
    "number",
    "planner",
    "poll",
    "sign_of",
    "unknown_name",
    "unread",
    "window",
]
