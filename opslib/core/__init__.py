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
from opslib.core.checks.checks import answer, check, unread
from opslib.core.checks.plots import Line, Panel, Plotted
from opslib.core.checks.signs import FAILURES, Sign, sayings, sign_of
from opslib.core.connections import identities, sessions, sql, targets
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
from opslib.core.plans import stages
from opslib.core.plans.applying import Applied, planner
from opslib.core.plans.performing import ABSENT, UNSURE, look
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.core.plans.things import Kind, Thing
from opslib.core.reads import functions, log_lines, logs, metrics, networks, services
from opslib.core.reads.functions import Function
from opslib.core.reads.stores import domains
from opslib.core.redaction import names_a_secret
from opslib.core.strict_yaml import beside
from opslib.core.tables import UTC_TIME, Frame, Json, batched, dtypes, escaped, first_rows, frame
from opslib.core.text import count, cut, decoded, few, fits, number
from opslib.core.times import Window, clock, moment, window
from opslib.core.waiting import poll
