"""The app clients of the pool: may anybody sign in with them, and where to are they sent back?

https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-app-idp-settings.html
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import jmespath

from opslib import secrets
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    Question,
    Read,
    UsageError,
    answer,
    check,
    count,
    dtypes,
    frame,
    look,
)
from opslib.users.disabling import lives
from opslib.users.users import COGNITO, pool_id

URL, FLOW, SECRET = "callback-url-missing", "sign-in-flow-off", "client-secret-wrong"
TRIGGER = "sign-in-trigger-gone"
CLIENTS = dtypes("""
    client               str
    id                   str
    callbacks            str
    flows                str
    access_token_seconds int64
    id_token_seconds     int64
    revocation           bool
    secrets              int64
""")
_ROW = """{
    id: ClientId,
    callbacks: join(', ', CallbackURLs || `[]`),
    flows: join(', ', [AllowedOAuthFlows, ExplicitAuthFlows][][]),
    revocation: EnableTokenRevocation || `false`,
    secrets: length(secrets)
}"""
_DESCRIBE = "cognito-idp DescribeUserPoolClient"
_BY_HAND = (
    "Mend it where it is described (Terraform), or in the console: aws cognito-idp "
    "update-user-pool-client resets whatever it is not given."
)
_AT_ONCE = timedelta(minutes=15)  # a client's secret, and the version that says it


@check("May anybody sign in?")
def check_clients(ops: Connection) -> Findings:
    """The app clients that the target's file describes, and the pool's domain, against it; whether
    the functions that Cognito calls are there.

    Cognito compares addresses letter by letter. Evidence: CLIENTS.
    """
    facts, pool = ops.target["users"], pool_id(ops)
    known = facts.get("clients", {})
    told = ops.each(partial(describe, ops, pool), known, "app client {}")
    found = Findings(
        (each for key, has in told.items() for each in _judged(ops, key, known[key], has)),
        frame(
            (
                jmespath.search(_ROW, has)
                | {
                    "client": key,
                    "access_token_seconds": lives(has, "Access"),
                    "id_token_seconds": lives(has, "Id"),
                }
                for key, has in told.items()
            ),
            CLIENTS,
        ),
    )
    if "domain" in facts:
        found.append(answer("domain of the pool", _domain, ops, pool, facts["domain"]))
    found += _triggers(ops, pool)
    found.note = _BY_HAND if found.causes & {URL, FLOW} else ""
    return found


def describe(ops: Connection, pool: str, key: str) -> Json:
    """An app client by its key in the target's file, with its `secrets`, oldest first.

    Their values are never told but for one, which DescribeUserPoolClient gives. Raises NotFound.
    """
    name = ops.target["users"]["clients"][key]["name"]
    path = "UserPoolClients[].[ClientName, ClientId]"
    every = ops.pages(COGNITO, "list_user_pool_clients", path, UserPoolId=pool, MaxResults=60)
    ids = [id for called, id in every if called == name]
    if not ids:
        raise NotFound(f"App client {name!r} not found in pool {pool} of {ops.where}.")
    if len(ids) > 1:
        raise UsageError(f"{len(ids)} app clients of pool {pool} are called {name!r}: {ids}.")
    at = {"UserPoolId": pool, "ClientId": ids[0]}
    found: Json = ops.call(COGNITO, "describe_user_pool_client", **at)["UserPoolClient"]
    return found | {"secrets": list_secrets(ops, at) if "ClientSecret" in found else []}


def list_secrets(ops: Connection, at: Json) -> list[Json]:
    """Id and date of each secret of a client, oldest first; there are two at most."""
    held = ops.call(COGNITO, "list_user_pool_client_secrets", **at)["ClientSecrets"]
    return sorted(held, key=lambda each: str(each["ClientSecretCreateDate"]))


def _judged(ops: Connection, key: str, facts: Any, has: Json) -> Iterator[Finding]:
    for fact, name, words in (
        ("callback_urls", "CallbackURLs", "callback URLs"),
        ("logout_urls", "LogoutURLs", "logout URLs"),
    ):
        if fact in facts:
            yield _urls(f"{words} of {key}", facts[fact], has.get(name, ()))
    if {"oauth_flows", "scopes", "auth_flows", "attributes"} & {*facts}:
        yield _flows(key, facts, has)
    if "secret" in facts:
        yield answer(f"secret of {key}", _secret, ops, key, facts["secret"], has)


def _urls(words: str, wanted: Sequence[str], has: Sequence[str]) -> Finding:
    asked = Question(words, f"just {', '.join(wanted)}", _DESCRIBE)
    missing, more = [e for e in wanted if e not in has], [e for e in has if e not in wanted]
    if missing:
        near = [each for each in more if _alike(each) in map(_alike, missing)]
        seen = (
            f"{', '.join(missing)} is not there: whoever is sent back to it sees redirect_mismatch"
        )
        seen += f"; {', '.join(near)} is not the same address" * bool(near)
        return asked.critical(seen, cause=URL)
    if more:
        seen = f"also {', '.join(more)}: whoever holds that address is sent sign-ins, too"
        return asked.warn(seen)
    return asked.ok(count(len(has), "address"), cause=URL)


def _alike(url: str) -> str:
    return url.lower().replace("https://", "").replace("http://", "").rstrip("/")


def _flows(key: str, facts: Any, has: Json) -> Finding:
    lacks = [
        f"{words} {each}"
        for fact, name, words in (
            ("oauth_flows", "AllowedOAuthFlows", "OAuth flow"),
            ("scopes", "AllowedOAuthScopes", "scope"),
            ("auth_flows", "ExplicitAuthFlows", "flow"),
        )
        for each in facts.get(fact, ())
        if each not in has.get(name, ())
    ]
    if "oauth_flows" in facts and not has.get("AllowedOAuthFlowsUserPoolClient"):
        lacks.append("OAuth as a whole")
    if readable := has.get("ReadAttributes"):  # none named: all
        lacks += [f"attribute {e}" for e in facts.get("attributes", ()) if e not in readable]
    asked = Question(f"flows of {key}", "all that the target's file describes", _DESCRIBE)
    seen = f"off: {', '.join(lacks)}; sign-ins that need it are refused" if lacks else "all on"
    return asked.judged(not lacks, seen, cause=FLOW)


def _secret(ops: Connection, key: str, at: Any, has: Json) -> Finding:
    """Cognito tells one value only, so of two that do not fit the dates have to say it."""
    rule = f"what {at['key']} of secret {at['name']} says"
    asked = Question(f"secret of {key}", rule, f"{_DESCRIBE}, GetSecretValue")
    if "ClientSecret" not in has:
        return asked.critical("the client has none", cause=SECRET)
    held = ops.secret(at["name"])
    if not isinstance(held, dict) or at["key"] not in held:
        seen = f"secret {at['name']} has no key {at['key']}: nobody gets in once the app reads it"
        return asked.critical(seen, cause=SECRET, next="users/client-secret")
    if held[at["key"]] == has["ClientSecret"]:
        return asked.ok(f"the same, one of {len(has['secrets'])}", cause=SECRET)
    if len(has["secrets"]) == 1:
        seen = "another one: the app cannot change a code for tokens, so nobody gets in"
        return asked.critical(seen, cause=SECRET, next="users/client-secret")
    made, _ = secrets.read_age(ops, at["name"])
    if fits(has["secrets"][-1], made):
        return asked.ok("of two the newer one, by its date", cause=SECRET)
    return asked.unknown("of two not the one that Cognito tells the value of")


def fits(secret: Json, made: datetime | None) -> bool:
    """Whether a client's secret and a version of a secret were made at once."""
    return made is not None and abs(secret["ClientSecretCreateDate"] - made) < _AT_ONCE


def _domain(ops: Connection, pool: str, domain: str) -> Finding:
    asked = Question(f"domain {domain}", "ACTIVE, of this pool", "DescribeUserPoolDomain")
    told = ops.call(COGNITO, "describe_user_pool_domain", Domain=domain)["DomainDescription"]
    state = told.get("Status", "")
    seen = f"{state}, of pool {told.get('UserPoolId')}" if told else "there is no such domain"
    well = told.get("UserPoolId") == pool and state in ("ACTIVE", "UPDATING")
    return asked.judged(well, f"{seen}: no sign-in page" if not well else seen)


def _triggers(ops: Connection, pool: str) -> Iterator[Finding]:
    """Functions that Cognito calls: who would pass one that is gone is refused."""
    held = ops.call(COGNITO, "describe_user_pool", UserPoolId=pool)["UserPool"]
    for name, of in held.get("LambdaConfig", {}).items():
        arn = of.get("LambdaArn", "") if isinstance(of, dict) else str(of)
        if ":function:" in arn:
            yield answer(f"trigger {name}", _trigger, ops, name, arn)


def _trigger(ops: Connection, name: str, arn: str) -> Finding:
    asked = Question(f"trigger {name}", "its function can be called", "GetFunctionConfiguration")
    state = look(ops, Read("lambda", "get_function_configuration", "State", FunctionName=arn))
    seen = f"{arn.partition(':function:')[2]} is {state}; who passes it is refused while it fails"
    well = state in ("Active", "Inactive", None)
    return asked.judged(well, seen, cause=TRIGGER, next="changes/who")
