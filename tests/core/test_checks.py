"""What a check makes of what it could not read: gone, denied, refused; only the rest is unknown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jmespath
import pytest
from botocore.exceptions import ClientError

from opslib import core
from opslib.core import beside
from opslib.core.checks import causes
from opslib.core.checks.checks import check, keep
from opslib.core.connections import calls, sessions
from opslib.core.errors import LoginRefused, NotFound, OpsError, Unfinished
from opslib.core.findings import Finding, Findings
from opslib.core.journal import HERE

FACTS = {
    "system": "orders",
    "queues": {"work": {"name": "orders-work", "dead_letters": "orders-dead"}},
    "functions": {"api": {"name": "orders-api", "alias": "live"}},
    "buckets": {"files": {"name": "orders-files"}},
    "secrets": {"orders/database": {"max_age_days": 90}},
    "database": {"cluster": "orders-main"},
    "network": {"vpc": "orders-main"},
    "jobs": {"import": {"table": "import_jobs"}},
}


def found(exc: Exception) -> Finding:
    """The finding of a check that raises this."""
    target: Any = SimpleNamespace(facts=FACTS)
    journal = SimpleNamespace(write=lambda *_, **__: None)
    ops: Any = SimpleNamespace(target=target, findings=Findings(), changed=False, journal=journal)

    @check("Is it well?")
    def look(_: Any) -> Findings:
        raise exc

    return look(ops)[0]


def of_aws(service: str, operation: str, code: str, said: str, **parameters: Any) -> OpsError:
    """What an error that AWS answers becomes."""
    answer: Any = {"Error": {"Code": code, "Message": said}}
    name = "".join(part.title() for part in operation.split("_"))
    with (
        pytest.raises(OpsError) as told,
        calls.errors(service, operation, "111122223333/eu-west-1", parameters),
    ):
        raise ClientError(answer, name)
    return told.value


@pytest.mark.parametrize(
    ("exc", "place"),
    [
        (
            of_aws(
                "sqs", "get_queue_url", "QueueDoesNotExist", "no queue", QueueName="orders-dead"
            ),
            "queues.work.dead_letters",
        ),
        (
            of_aws(
                "logs",
                "filter_log_events",
                "ResourceNotFoundException",
                "The specified log group does not exist.",
                logGroupName="/aws/lambda/orders-api",
            ),
            "the log group of functions.api",
        ),
        (
            of_aws(
                "lambda",
                "get_alias",
                "ResourceNotFoundException",
                "No alias arn: arn:aws:lambda:eu-west-1:111122223333:function:orders-api:live",
                FunctionName="orders-api",
                Name="live",
            ),
            "functions.api.alias",
        ),
        (
            of_aws(
                "secretsmanager",
                "get_secret_value",
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret.",
                SecretId="orders/database",
            ),
            "secrets.orders/database",
        ),
        (
            of_aws("s3", "get_object", "NoSuchBucket", "no bucket", Bucket="orders-files", Key="x"),
            "buckets.files.name",
        ),
        (NotFound("cluster orders-main not found in 111122223333/eu-west-1."), "database.cluster"),
        (
            NotFound("No VPC is named 'orders-main' in 1/eu-west-1; one was expected."),
            "network.vpc",
        ),
        (
            NotFound('Not found: SELECT …: relation "import_jobs" does not exist.'),
            "jobs.import.table",
        ),
    ],
)
def test_what_the_file_describes_and_is_not_there_is_critical_and_named(
    exc: OpsError, place: str
) -> None:
    gone = found(exc)
    assert (gone.status, gone.cause) == ("critical", causes.GONE)
    assert gone.seen.startswith(f"Described as {place}, and not there.")


@pytest.mark.parametrize(
    "exc",
    [
        of_aws("cloudwatch", "get_dashboard", "ResourceNotFound", "no", DashboardName="typed"),
        of_aws("s3", "head_object", "404", "Not Found", Bucket="orders-files", Key="missing"),
        of_aws("s3", "get_object", "NoSuchKey", "no such key", Bucket="orders-files", Key="x"),
        NotFound("No user with the address ana@example.com in pool orders-main of here."),
        Unfinished("No answer to sqs get_queue_url of 'orders-dead': its state is unknown."),
        OpsError("sqs get_queue_url of 'orders-dead' failed"),
    ],
)
def test_what_a_person_typed_or_what_did_not_answer_is_unknown(exc: OpsError) -> None:
    said = found(exc)
    assert (said.status, said.cause) == ("unknown", "")


def test_denied_is_unknown_and_names_the_action_and_the_resource() -> None:
    arn = "arn:aws:sqs:eu-west-1:111122223333:orders-dead"
    said = (
        "User: arn:aws:iam::111122223333:user/ana is not authorized to perform: "
        f"sqs:GetQueueAttributes on resource: {arn} because no identity-based policy allows it"
    )
    denied = found(of_aws("sqs", "get_queue_attributes", "AccessDenied", said))
    assert (denied.status, denied.cause) == ("unknown", causes.DENIED)
    assert denied.seen.endswith(f" Missing: sqs:GetQueueAttributes on {arn}.")


def test_denied_without_a_word_is_named_by_the_call() -> None:
    denied = found(of_aws("s3", "head_bucket", "403", "Forbidden", Bucket="orders"))
    assert (denied.status, denied.cause) == ("unknown", causes.DENIED)
    assert denied.seen.endswith(" Missing: s3:HeadBucket.")


def test_a_database_that_refuses_the_login_is_critical() -> None:
    error = Exception('FATAL: password authentication failed for user "orders"')
    where: Any = SimpleNamespace(host="db", port=5432)
    exc = sessions._translated(error, "SELECT 1", "database orders of orders", where)
    assert isinstance(exc, LoginRefused)
    refused = found(exc)
    assert (refused.status, refused.cause) == ("critical", causes.LOGIN_REFUSED)


@pytest.mark.parametrize(
    ("facts", "next", "follow"),
    [
        ({"network": {}}, "network/endpoints", "network/endpoints"),
        ({}, "network/endpoints", "logs/search"),
        ({}, "high-error-rate", "shop/high-error-rate"),
        ({}, "here", ""),
        ({}, "", ""),
    ],
)
def test_a_way_on_is_one_that_the_target_has(
    monkeypatch: pytest.MonkeyPatch, facts: Any, next: str, follow: str
) -> None:
    monkeypatch.setenv(HERE, "logs/errors shop/here")
    ops: Any = SimpleNamespace(
        target=SimpleNamespace(facts=facts, system="shop"),
        findings=[],
        changed=False,
        journal=SimpleNamespace(write=lambda *_, **__: None),
    )
    silent = Finding("critical", "the API", "no answer", next=next)
    assert keep(ops, Findings([silent]))[0].next == follow


def test_every_condition_of_a_table_of_sayings_is_one() -> None:
    said = [
        (path, says["when"])
        for path in Path(core.__file__).parents[1].rglob("*.yaml")
        if "lab" not in path.parts
        for fact in beside(str(path), path.stem)
        if isinstance(fact, dict)
        for says in fact.get("says", ())
        if "when" in says
    ]
    assert len(said) > 50
    for path, when in said:
        assert isinstance(when, str), f"{path}: {when} (`off` without quotes is no text)"
        jmespath.compile(when)
