"""The target's search domain (OpenSearch), asked by signed requests; its errors in our words."""

import json
from typing import Any
from urllib.parse import urlsplit

import jmespath

from opslib.core import redaction
from opslib.core.connections.connection import Connection
from opslib.core.connections.http import Api, authorised
from opslib.core.connections.meanings import translated
from opslib.core.errors import (
    Lost,
    Unfinished,
    UsageError,
)
from opslib.core.tables import Json

SECONDS = 30.0


def is_described(ops: Connection) -> bool:
    """Whether the target's file names a domain of AWS, and not an address alone."""
    return "domain" in ops.target["search"]


def describe(ops: Connection) -> Json:
    """The domain as AWS describes it. Raises NotFound, NotAllowed."""
    name = ops.target["search"]["domain"]
    found: Json = ops.call("opensearch", "describe_domain", DomainName=name)["DomainStatus"]
    return found


def _api(ops: Connection) -> Api:
    """Where it is: the file's address, else as AWS says. Raises Unfinished: it has none yet."""
    facts = ops.target["search"]
    url = facts.get("url", "")
    if not url and not is_described(ops):
        where = f"parameters/targets/{ops.target.key}.yaml"
        raise UsageError(
            f"Where the search is, nothing says: add search.domain, or search.url to {where}."
        )
    if not url and not ops.target.lab:
        found = describe(ops)
        host = found.get("Endpoint") or found.get("Endpoints", {}).get("vpc")
        if not host:
            raise Unfinished(f"Domain {facts['domain']} has no endpoint yet: it is being made.")
        url = f"https://{host}"
    to = facts.get("tunnel")
    tunnel = (str(to.get("host", "localhost")), int(to["port"])) if to else None
    headers = {} if ops.target.lab else authorised(facts, ops.secret, True)
    return Api(url.rstrip("/"), headers, SECONDS, "opensearch", tunnel)


def ask(ops: Connection, method: str, path: str, body: Any = None) -> Any:
    """What the domain answers; `body`: JSON, or lines of it in a list.

    Raises NotAllowed, NotFound, Unfinished, Lost (a change), OpsError.
    """
    api = ops.kept(Api) or ops.keep(_api(ops))
    lines = [json.dumps(each) for each in body] if isinstance(body, list) else [json.dumps(body)]
    content = b"" if body is None else "".join(f"{line}\n" for line in lines).encode()
    service = "aoss" if ".aoss." in (urlsplit(api.url).hostname or "") else "es"
    answer = ops.signed(service, api, method, path, content)
    name = ops.target["search"].get("domain") or "the search domain"
    asked = f"{method} {path.partition('?')[0]} of {name}"
    if answer.ok and answer.body is not None:
        return answer.body
    told = jmespath.search("[error.type, error.reason || Message || message]", answer.body)
    kind, why = told or (None, None)
    why = str(why or answer.text)
    said = redaction.mask(f"{kind}: {why}" if kind else why)[:400]
    if method != "GET" and answer.status in (500, 502, 504):
        raise Lost(f"{asked}: its answer was lost ({answer.status}), so it may be done.")
    shown = f"{answer.status} {said}"
    raise translated(
        "search", shown, asked=asked, status=answer.status, said=said, who=ops.identity.user
    )
