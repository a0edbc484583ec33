"""What an estate's YAML may say of a day: requests, log lines, metrics, what runs by the clock."""

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from pydantic.dataclasses import dataclass

from opslib.lab.forms.values import STRICT, Range


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Clock:
    """A function that runs by the clock: each `every` minutes of the lab's day, at minute `at`.

    `lines`: members of its JSON lines, or plain text; `{a-b}` in a text is a number by chance.
    `late`: the minute of the day at which it times out.
    """

    every: int
    at: int = 0
    ms: Range = (200, 900)
    lines: list[str | Mapping[str, Any]] = field(default_factory=lambda: [{"message": "done"}])
    late: int | None = None


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Cold:
    """Requests that start a new environment, how long that takes, what they take longer.

    Which: by chance a `share`, or those that come `within_s` of a minute.
    """

    share: float = 0.0
    within_s: float = 0.0
    init_ms: Range
    plus_ms: Range = (0, 0)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Mishap:
    """What goes wrong on a good day. `below`: the chance of this and of all that stand before it.

    `ms`: instead of its duration, or (times, plus) of it. `{600-899}` in the path is drawn.
    """

    below: float
    ms: float | Range | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    message: str | None = None
    user: str | None = None
    crashed: bool = False


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Traffic:
    """What people and machines ask of the API each minute. `{item}` in a path is one of items."""

    function: str = ""  # behind the API; else the first that the target's file names
    per_minute: Range = (4, 9)  # at night and at the peak
    routes: list[tuple[float, str, str, float]] = field(
        default_factory=list
    )  # share, how, what, ms
    # other functions than that one, by the route that each serves: `GET /search`
    behind: Mapping[str, str] = field(default_factory=dict)
    spread: float = 0.45  # sigma of the durations
    created: int = 201  # what a POST is answered
    users: int = 0  # so many names
    nobody: list[str] = field(default_factory=list)  # paths that are asked without a name
    items: Range | None = None  # from, to: numbers of what is asked for
    cold: Cold | None = None
    mishaps: list[Mishap] = field(default_factory=list)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Lines:
    """The app's JSON line about a request, and what its log says when it fails.

    `errors_from`: statuses from here on are ERROR, but `warnings`. `with_base`: of the API.
    `messages`: what is said of a status when nothing else is.
    """

    members: list[str] = field(
        default_factory=lambda: ["request_id", "method", "path", "status", "latency_ms", "message"]
    )
    errors_from: int = 500
    warnings: list[int] = field(default_factory=list)
    with_base: bool = False
    messages: Mapping[int, str] = field(default_factory=dict)
    thrown: str = "[ERROR] RuntimeError: unhandled exception"  # {stamp}, {id}
    error_type: str = "RuntimeError"
    timed_out: str = "{stamp} {id} Task timed out after {seconds:.2f} seconds"


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Api:
    """How the app answers. `breakable`: pattern of the paths at which a bad version fails.

    `error`: the member of an answer that says what cannot be done. `lost`, `failed`: what its log
    says, before the reason, when the database cannot be reached and when a statement fails.
    `most_ms`: a request counts no longer in the metrics, however slow the lab's machine is.
    `authorizer`: API Gateway lets in who has a token of the users' pool.
    """

    breakable: str = ".*"
    error: str = "detail"
    lost: str = ""
    failed: str = ""
    most_ms: float = math.inf
    authorizer: bool = False


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Metric:
    """A metric that is no rhythm: its value at the lab's start, and what a day adds."""

    metric: str
    value: float
    per_day: float = 0.0
    unit: str = "Count"


Rhythm = tuple[str, float, float, float, str]  # metric, night, day, noise (a share), unit


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Counted:
    """Requests that were answered, counted as a metric of the system's own."""

    method: str | None = None
    path: str | None = None
    status: int | None = None
    but: int | None = None  # any status but this


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Measured:
    """Metrics with the same namespace and dimensions; `whole`: those that are whole numbers."""

    namespace: str
    dimensions: list[Mapping[str, str]]
    day: list[Rhythm | Metric] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    requests: Mapping[str, Counted] = field(default_factory=dict)
