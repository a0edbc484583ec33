"""A connection to a target: who and where we are, checked; every call recorded, every error translated."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from opslib import _aws, _frames, redaction, targets
from opslib.errors import Refused
from opslib.journal import Journal
from opslib.targets import Target

if TYPE_CHECKING:
    from opslib._http import Response
    from opslib.findings import Findings
    from opslib.plans import Applied, Plan

T = TypeVar("T")


@dataclass(frozen=True)
class Identity:
    """Who AWS says we are (STS GetCallerIdentity)."""

    account: str
    arn: str

    @property
    def user(self) -> str:
        """The last part of the ARN: an IAM user's name or a role's session name."""
        return self.arn.rsplit("/", 1)[-1]


class Connection:
    """What a notebook calls `ops`. Made by `connect`; safe to use from several threads."""

    def __init__(
        self, target: Target, session: Any, config: Any, endpoint: str | None, api_url: str | None, journal: Journal
    ) -> None:
        from opslib.findings import Findings

        self.target = target
        self.journal = journal
        self.findings: Findings = Findings()
        self.plan: Plan | None = None
        self.applied: Applied | None = None
        self.api_url = api_url
        self._session, self._config, self._endpoint = session, config, endpoint
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.RLock()
        self._engines: dict[str, Any] = {}
        redaction.on_register(lambda value, label: self.journal.write("secret", value=value, label=label))
        redaction.guard_kernel()
        _frames.show_frames()
        _aws.record_calls(session, self.journal)
        found = self.call("sts", "get_caller_identity")
        self.identity = Identity(found["Account"], found["Arn"])

    @property
    def where(self) -> str:
        """Account and region, as messages name them."""
        return f"{self.target.account}/{self.target.region}"

    def now(self) -> datetime:
        return datetime.now(UTC)

    def client(self, service: str, region: str | None = None) -> Any:
        """The boto3 client of a service in the target's region (or another); made once."""
        key = (service, region or self.target.region)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service, region_name=key[1], endpoint_url=self._endpoint, config=self._config
                )
            return self._clients[key]

    def call(self, service: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """One AWS call: its answer without metadata, a Lambda's payload decoded.

        Raises NotFound, NotAllowed, Unfinished or OpsError; an answer that carries errors per item is an error.
        """
        return self._call(self.client(service), service, operation, parameters)

    def call_once(self, seconds: float, service: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """`call` for what takes long and must not be done twice: waits so many seconds for the answer, never repeats."""
        config = _aws.patient(self._config, seconds)
        client = self._session.client(
            service, region_name=self.target.region, endpoint_url=self._endpoint, config=config
        )
        return self._call(client, service, operation, parameters)

    def _call(self, client: Any, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if isinstance(parameters.get("Payload"), dict):
            parameters["Payload"] = json.dumps(parameters["Payload"]).encode()
        with _aws.errors(service, operation, getattr(self, "where", self.target.name), parameters):
            answer = getattr(client, operation)(**parameters)
        return _aws.checked(service, operation, answer)

    def pages(
        self, service: str, operation: str, key: str, /, limit: int | None = None, **parameters: Any
    ) -> list[Any]:
        """Every item of a paginated AWS call, to the end (or the first `limit`). `key` is a JMESPath to the items."""
        from opslib._progress import counted

        client = self.client(service)
        with _aws.errors(service, operation, self.where, parameters):
            items: Iterator[Any]
            if client.can_paginate(operation):
                items = client.get_paginator(operation).paginate(**parameters).search(key)
            else:
                import jmespath

                items = iter(jmespath.search(key, getattr(client, operation)(**parameters)) or ())
            kept = []
            for item in counted((i for i in items if i is not None), f"{service} {operation}"):
                kept.append(item)
                if limit is not None and len(kept) >= limit:
                    break
            return kept

    def http(self, method: str, path: str, body: Any = None, *, auth: bool = False) -> Response:
        """A request to the system's API (`api.url` of the target); `auth` sends its token. Raises Unfinished."""
        from opslib import _http

        token = self.secret(self.target["api"]["token_secret"]) if auth else None
        return _http.request(
            self, method, path, body, token if isinstance(token, str) or token is None else token["token"]
        )

    def secret(self, name: str) -> Any:
        """A secret's current value (Secrets Manager), decoded when it is JSON. Masked in every output from here on."""
        text = self.call("secretsmanager", "get_secret_value", SecretId=name)["SecretString"]
        try:
            return json.loads(text)
        except ValueError:
            return text

    def gather(self, *reads: Callable[[], T]) -> list[T]:
        """Run independent reads at the same time; their results in order. The first error is raised."""
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="opslib") as pool:
            return [future.result() for future in [pool.submit(read) for read in reads]]

    def _repr_html_(self) -> str:
        import html

        mark, _, rest = repr(self).partition(" · ")
        return f"<p><strong>{html.escape(mark)}</strong> · {html.escape(rest)}</p>"

    def __repr__(self) -> str:
        mark = (
            "PRACTICE LAB" if self.target.lab else "PRODUCTION" if self.target.production else self.target.environment
        )
        return (
            f"{mark} · {self.target.title} · account {self.identity.account} · {self.target.region}"
            f" · as {self.identity.user} · {self.now():%Y-%m-%d %H:%M} UTC"
        )


def connect(target: str, beside: Connection | None = None) -> Connection:
    """Connect to a target by name, and refuse when AWS says that this is another account.

    `beside`: the run's own connection, when this one only reads another target for comparison; they share its journal.
    Raises UsageError (unknown target), NotAllowed (no credentials), Refused (wrong account), Unfinished (no answer).
    """
    described = targets.load(target)
    endpoint, api_url, keys = None, described["api"]["url"] if "api" in described.facts else None, None
    if described.lab:
        from opslib import lab

        place = lab.up()
        endpoint, keys = place.aws_endpoint(described.key), place.credentials(described.key)
        api_url = place.api_url(described.key) if api_url else None
    session, config = _aws.session(described, keys)
    ops = Connection(described, session, config, endpoint, api_url, beside.journal if beside else Journal())
    if ops.identity.account != described.account:
        raise Refused(
            f"These credentials are for account {ops.identity.account}, but {described.name} is in {described.account}. "
            f"Nothing was done. Log in with profile {described.profile!r}, or correct parameters/targets/{described.key}.yaml."
        )
    if beside is not None:
        return ops
    ops.journal.write(
        "connected",
        target=described.name,
        account=ops.identity.account,
        region=described.region,
        arn=ops.identity.arn,
        lab=described.lab,
        production=described.production,
    )
    return ops
