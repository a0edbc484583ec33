"""What every chapter is written with.

A connection, questions and findings, plans, tables, windows of time; what most of them read. Every
kind of action is known here: an undo makes it anew from what a record keeps.
"""

from opslib.core.actions.actions import Action, Aws, Http, Read, Select, Sql, Wait
from opslib.core.actions.exact import Discard, EraseItems, Shown
from opslib.core.actions.handed import ClientSecret, Given
from opslib.core.actions.listed import Listed, There
from opslib.core.actions.logins import Login, Password, Renewed
from opslib.core.actions.muting import Mute
from opslib.core.actions.results import result
from opslib.core.actions.stores.objects import CopyAcross, CopyVersions, DeleteVersions, Erase
from opslib.core.actions.stores.searches import Search
from opslib.core.actions.watching import Anew, OneOff, Rollout, Watch
from opslib.core.checks import plots
from opslib.core.checks.checks import answer, check, unread
from opslib.core.checks.plots import Line, Panel, Picture, Plotted
from opslib.core.checks.signs import FAILURES, Sign, sayings, sign_of, signs
from opslib.core.connections import caches, identities, sessions, sql, targets
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import ask, identifier, quoted
from opslib.core.connections.targets import LAB, Facts, Target
from opslib.core.defects import tried
from opslib.core.errors import (
    NotAllowed,
    NotFound,
    OpsError,
    Refused,
    Unasked,
    Unfinished,
    UsageError,
    require_known,
    unknown_name,
)
from opslib.core.findings import SEVERITY, Finding, Findings, Question
from opslib.core.plans import maintenance, stages
from opslib.core.plans.applying import Applied, planner
from opslib.core.plans.performing import ABSENT, UNSURE, look
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.core.plans.things import Kind, Thing
from opslib.core.reads import functions, log_lines, logs, metrics, networks, services, stops
from opslib.core.reads.described import Described
from opslib.core.reads.functions import Function
from opslib.core.reads.stores import domains, objects
from opslib.core.reads.stores.queues import Queue, depths
from opslib.core.redaction import names_a_secret
from opslib.core.strict_yaml import beside
from opslib.core.tables import UTC_TIME, Frame, Json, batched, dtypes, escaped, first_rows, frame
from opslib.core.text import Text, count, cut, decoded, few, fits, number
from opslib.core.times import Window, clock, moment, window
from opslib.core.waiting import poll

__all__ = [
    "ABSENT",
    "FAILURES",
    "LAB",
    "SEVERITY",
    "UNSURE",
    "UTC_TIME",
    "Action",
    "Anew",
    "Applied",
    "Aws",
    "ClientSecret",
    "Connection",
    "CopyAcross",
    "CopyVersions",
    "DeleteVersions",
    "Described",
    "Discard",
    "Erase",
    "EraseItems",
    "Facts",
    "Finding",
    "Findings",
    "Frame",
    "Function",
    "Given",
    "Http",
    "Json",
    "Kind",
    "Line",
    "Listed",
    "Login",
    "Mute",
    "NotAllowed",
    "NotFound",
    "OneOff",
    "OpsError",
    "Panel",
    "Password",
    "Picture",
    "Plan",
    "Planned",
    "Plotted",
    "Question",
    "Queue",
    "Read",
    "Refused",
    "Renewed",
    "Rollout",
    "Search",
    "Select",
    "Shown",
    "Sign",
    "Sql",
    "Step",
    "Target",
    "Text",
    "There",
    "Thing",
    "Unasked",
    "Unfinished",
    "UsageError",
    "Wait",
    "Watch",
    "Window",
    "answer",
    "ask",
    "batched",
    "beside",
    "caches",
    "check",
    "clock",
    "count",
    "cut",
    "decoded",
    "depths",
    "domains",
    "dtypes",
    "escaped",
    "few",
    "first_rows",
    "fits",
    "frame",
    "functions",
    "identifier",
    "identities",
    "log_lines",
    "logs",
    "look",
    "maintenance",
    "metrics",
    "moment",
    "names_a_secret",
    "networks",
    "number",
    "objects",
    "planner",
    "plots",
    "poll",
    "quoted",
    "require_known",
    "result",
    "sayings",
    "services",
    "sessions",
    "sign_of",
    "signs",
    "sql",
    "stages",
    "stops",
    "targets",
    "tried",
    "unknown_name",
    "unread",
    "window",
]
