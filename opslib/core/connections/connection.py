"""A connection to a target: checked who and where we are, calls recorded, errors translated."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from opslib.core import defects, redaction, tables
from opslib.core.connections import calls, sending
from opslib.core.connections.http import Api, Response, authorised, request, sign
from opslib.core.connections.identities import Identity
from opslib.core.connections.sending import Sharing
from opslib.core.connections.targets import LAB, Target
from opslib.core.errors import OpsError
from opslib.core.findings import Findings
from opslib.core.journal import Journal
from opslib.core.tables import Json
from opslib.core.text import decoded
from opslib.core.waiting import answers, counted

READS = re.compile(r"(get|list|describe|lookup|head|filter|query|scan|batch_get)(_|$)")
T = TypeVar("T")
N = TypeVar("N")


@dataclass(frozen=True)
class Access:
    """How a target is reached.

    A boto3 session with its configuration, an endpoint where it is not AWS's own, the API.
    """

    session: Any
    config: Any
    endpoint: str | None = None
    api: Api | None = None

    @property
    def profile(self) -> str | None:
        """Of ~/.aws/config, whose login it is."""
        return getattr(self.session, "profile_name", None)

    def client(self, service: str, region: str, **more: Any) -> Any:
        """A new boto3 client; `more` of its configuration. Raises OpsError, NotAllowed."""
        from botocore.config import Config

        config = self.config.merge(Config(**more)) if more else self.config
        at = {"region_name": region, "endpoint_url": self.endpoint}
        with calls.errors(service, "client", region, {}, self.profile):
            return self.session.client(service, **at, config=config)


class Connection:
    """What a notebook calls `ops`. Made by `connect`; safe to use from several threads.

    `recorder`: around an apply, keeps it as a record where no engine does. `connect`: makes another
    connection. `gate`: what an apply asks of the records before its first step, which may refuse:
    `holding(ops)`, nobody else changes the target meanwhile; `approver(ops, plan)`, the ARN of the
    second person whose approval of that name is on record; `spend(ops, approved, names)`, it is
    used up. None in a test of the library alone.
    """

    def __init__(
        self,
        target: Target,
        access: Access,
        journal: Journal,
        recorder: Callable[..., AbstractContextManager[None]] = lambda *_: nullcontext(),
        connect: Callable[..., Connection] | None = None,
        gate: Any = None,
    ) -> None:
        self.target = target
        self.journal = journal
        self.gate = gate
        self.require_hold: Callable[[], None] = lambda: None  # raises when `gate.holding` was lost
        self.findings = Findings()
        self.changed = False  # has a plan been applied in this run?
        self.scope = ""  # what was looked at and what was not, where a run is no full look
        # The line that opens what follows, by its name and what it is about; a procedure's entry.
        self.follow: Callable[..., str] = lambda name, about="": ""
        self.entry: Callable[..., str] = lambda procedure, **given: procedure
        # Asks a person for a plan: what is approved, what was typed. None: nobody is there.
        self.asks: Callable[[Connection, Any], Awaitable[tuple[str, str]]] | None = None
        self.token = ""  # the same for each attempt at a step, and no other: AWS does that once
        self._kept: dict[type, Any] = {}
        self._access, self._recorder, self._connect = access, recorder, connect
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.RLock()
        self._reader = self  # who reads: another one where a session of a role does the rest
        redaction.redactor.on_register = lambda value, label: self.journal.write(
            "secret", value=value, label=label
        )
        redaction.guard_kernel()
        tables.show_frames()
        self._sharing = Sharing()
        calls.record_calls(access.session, self.journal, self._sharing)
        found = self.call("sts", "get_caller_identity")
        self.identity = Identity(found["Account"], found["Arn"])

    def keep(self, value: T) -> T:
        """Keep the run's newest object of its type: its plan, what became of it."""
        self._kept[type(value)] = value
        return value

    def kept(self, kind: type[T]) -> T | None:
        """The newest that was kept of a type."""
        return self._kept.get(kind)

    def recording(self, plan: Any) -> AbstractContextManager[None]:
        """What happens inside is kept as a record. Raises OpsError before, when it cannot."""
        return self._recorder(self, plan)

    def beside(self, target: str) -> Connection:
        """One to another target, in the lab to its copy, in this journal. Raises as `connect`."""
        if self._connect is None:
            raise OpsError(
                f"This connection to {self.target.name} cannot make another, to {target}."
            )
        return self._connect((LAB if self.target.lab else "") + target, beside=self)

    @property
    def where(self) -> str:
        """Account and region, as messages name them."""
        return f"{self.target.account}/{self.target.region}"

    def at(self, region: str) -> Connection:
        """The same, in another region of the account: global services answer in one alone."""
        if region in ("", self.target.region):
            return self
        other = copy(self)
        other.target = replace(self.target, region=region)
        return other

    def by(self, session: Any) -> Connection:
        """One that reads as this one does, and makes every other call by another session."""
        other = copy(self)
        other._access, other._clients = replace(self._access, session=session), {}
        return other

    def now(self) -> datetime:
        return datetime.now(UTC)

    def client(self, service: str, region: str | None = None) -> Any:
        """The boto3 client of a service in the target's region (or another); made once."""
        key = (service, region or self.target.region)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._access.client(*key)
            return self._clients[key]

    def call(self, service: str, operation: str, /, **parameters: Any) -> Json:
        """One AWS call: its answer without metadata, a Lambda's payload decoded.

        Raises NotFound, NotAllowed, Unfinished or OpsError; an answer that carries errors per item
        is an error.
        """
        return self._call(self._client(service, operation), service, operation, parameters)

    def _client(self, service: str, operation: str) -> Any:
        of = self._reader if READS.match(operation) else self
        return of.client(service, self.target.region)

    def call_once(self, seconds: float, service: str, operation: str, /, **parameters: Any) -> Json:
        """`call` for what takes so many seconds, and not twice. Raises Lost when it may be done."""
        once = {"mode": "standard", "total_max_attempts": 1}
        held = {"read_timeout": seconds, "retries": once, "tcp_keepalive": True}
        with self._lock:  # boto3 makes one client at a time
            # a connection of its own: one that was left waiting may be closed when it is used
            client = self._access.client(service, self.target.region, **held)
        return self._call(client, service, operation, parameters, sending.send)

    def change(self, service: str, operation: str, /, **parameters: Any) -> Json:
        """`call` for what changes something: done once.

        Sent again only when AWS turned it away, or can tell by a token that it is the same. Raises
        Lost when it may be done, else what `call` raises.
        """
        client = self.client(service)
        given, repeatable = sending.with_token(client, operation, parameters, self.token)
        if repeatable:
            return self.call_again(service, operation, **given)
        return self.call_once(self._access.config.read_timeout, service, operation, **given)

    def call_again(self, service: str, operation: str, /, **parameters: Any) -> Json:
        """`call` for a change that does no harm when it is done twice. Raises Lost as `change`."""
        return self._call(self.client(service), service, operation, parameters, sending.repeat)

    def _call(
        self,
        client: Any,
        service: str,
        operation: str,
        parameters: Json,
        change: sending.Send | None = None,
    ) -> Json:
        asked = calls.question(service, operation, self.where, parameters)
        if isinstance(parameters.get("Payload"), dict):
            parameters["Payload"] = json.dumps(parameters["Payload"]).encode()
        lost = sending.answered(asked) if change else nullcontext()
        with calls.errors(service, operation, self.where, parameters, self._access.profile), lost:
            answer = (change or sending.repeat)(client, operation, parameters)
            return calls.checked(service, operation, answer)

    def pages(
        self, service: str, operation: str, key: str, /, limit: int | None = None, **parameters: Any
    ) -> list[Any]:
        """Every item (`key`: JMESPath) of a paginated AWS call, to the end or the first `limit`."""
        import jmespath

        client = self._client(service, operation)
        with calls.errors(service, operation, self.where, parameters, self._access.profile):
            answers = calls.answers_of(client, operation, parameters)
            found = chain.from_iterable(jmespath.search(key, answer) or () for answer in answers)
            items = (item for item in found if item is not None)
            return list(islice(counted(items, f"{service} {operation}"), limit))

    def reach(self, url: str) -> None:
        """Where the system's API is, for a target whose file does not say it yet."""
        if self._access.api is None:
            self._access = replace(self._access, api=Api(url))

    def http(
        self, method: str, path: str, body: Any = None, *, auth: bool | Mapping[str, str] = False
    ) -> Response:
        """A request to the system's API; `auth`: with its key, or a header. Raises Unfinished."""
        api = self._access.api or Api(self.target["api"]["url"])
        key = authorised(self.target["api"], self.secret, auth)
        return request(api, method, path, body, key, self.journal)

    def signed(self, service: str, api: Api, method: str, path: str, body: bytes) -> Response:
        """A request to an address of a service's own, signed; in the lab to its stand-in there."""
        if at := self._access.endpoint:
            api = Api(f"{at}/_{service}/{self.target.key}", {}, api.timeout_seconds, api.called)
        with calls.errors(service, "sign", self.where, {}, self._access.profile):
            of = self._reader if method == "GET" else self
            key = sign(api, method, path, body, of._access.session, service)
        return request(api, method, path, body, key, self.journal)

    def secret(self, name: str) -> Any:
        """A secret's current value (Secrets Manager), decoded when it is JSON; 0123 is a text.

        Masked in every output from here on.
        """
        text = self.call("secretsmanager", "get_secret_value", SecretId=name).get("SecretString")
        if text is None:
            raise OpsError(f"Secret {name!r} in {self.where} holds no text (SecretString).")
        found = decoded(text, text)
        return found if isinstance(found, (dict, list, str)) else text

    def reading_once(self) -> AbstractContextManager[None]:
        """Inside, AWS is asked once for what is asked in the same words: many checks, one look."""
        return self._sharing.on()

    def gather(self, *reads: Callable[[], T]) -> list[T]:
        """Run independent reads at the same time; their results in order.

        The first error is raised; NotUnderstood for one that is none of ours.
        """

        def one(read: Callable[[], T]) -> T:
            with defects.understood():
                return read()

        if len(reads) < 2 and threading.current_thread() is not threading.main_thread():
            return [one(read) for read in reads]  # whoever waits is asked for nothing meanwhile
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="opslib") as pool:
            return answers([pool.submit(one, read) for read in reads])

    def each(self, read: Callable[[N], T], names: Iterable[N], asked: str = "") -> dict[N, T]:
        """One read for each of several names, at the same time; their answers by name.

        The first error is raised. With `asked` ("queue {}") a check goes on: what could not be read
        is not in the answers, and is a finding of its own under that question.
        """
        names, one = list(names), defects.told_apart(read, asked)
        found = zip(names, self.gather(*(partial(one, name) for name in names)), strict=True)
        return {name: answer[0] for name, answer in found if answer}

    def _repr_html_(self) -> str:
        mark, _, rest = tables.escaped(self).partition(" · ")
        return f"{tables.IN_THE_DARK}<p><strong>{mark}</strong> · {rest}</p>"

    def __repr__(self) -> str:
        environment = "PRODUCTION" if self.target.production else self.target.environment
        mark = "PRACTICE LAB" if self.target.lab else environment
        return (
            f"{mark} · {self.target.title} · account {self.identity.account} · {self.target.region}"
            f" · as {self.identity.user} · {self.now():%Y-%m-%d %H:%M} UTC"
        )
