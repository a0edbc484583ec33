"""What every chapter is written with.

A connection, questions and findings, plans, tables, windows of time.
"""

from opslib.core.checks.checks import answer, check, unread
from opslib.core.checks.plots import Line, Panel, Plotted
from opslib.core.checks.signs import FAILURES, Sign, sign_of
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import ask, quoted
from opslib.core.errors import (
    NotAllowed,
    NotFound,
    OpsError,
    Refused,
    Unfinished,
    UsageError,
    unknown_name,
)
from opslib.core.findings import SEVERITY, Finding, Findings, Question
from opslib.core.plans.actions import Action, Aws, Http, Read, Select, Sql, Wait
from opslib.core.plans.applying import planner
from opslib.core.plans.exact import Discard, Shown
from opslib.core.plans.logins import Login, Password, Renewed
from opslib.core.plans.objects import CopyVersions, DeleteVersions, Erase
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.core.plans.results import result
from opslib.core.plans.searches import Search
from opslib.core.plans.watching import Watch
from opslib.core.tables import UTC_TIME, Frame, Json, frame
from opslib.core.text import count, number
from opslib.core.times import Window, clock, window
from opslib.core.waiting import poll

__all__ = [
    "FAILURES",
    "SEVERITY",
    "UTC_TIME",
    "Action",
    "Aws",
    "Connection",
    "CopyVersions",
    "DeleteVersions",
    "Discard",
    "Erase",
    "Finding",
    "Findings",
    "Frame",
    "Http",
    "Json",
    "Line",
    "Login",
    "NotAllowed",
    "NotFound",
    "OpsError",
    "Panel",
    "Password",
    "Plan",
    "Planned",
    "Plotted",
    "Question",
    "Read",
    "Refused",
    "Renewed",
    "Search",
    "Select",
    "Shown",
    "Sign",
    "Sql",
    "Step",
    "Unfinished",
    "UsageError",
    "Wait",
    "Watch",
    "Window",
    "answer",
    "ask",
    "check",
    "clock",
    "count",
    "frame",
    "number",
    "planner",
    "poll",
    "quoted",
    "result",
    "sign_of",
    "unknown_name",
    "unread",
    "window",
]
