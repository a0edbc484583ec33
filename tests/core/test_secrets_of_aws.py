"""What AWS gives out as a secret is masked from then on, whoever made the call."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.session import Session

from opslib.core import redaction
from opslib.core.connections import answers, calls
from opslib.core.connections.sending import Sharing
from opslib.core.journal import Journal
from opslib.core.redaction import Redactor


@pytest.fixture
def redactor(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    made = Redactor()
    monkeypatch.setattr(redaction, "register", made.register)
    return made


S = "Corr3ct-h0rse/battery+staple"
LOGIN = base64.b64encode(f"AWS:{S}".encode()).decode()
SET = {"environment": [{"name": "MODE", "value": "live"}, {"name": "API_KEY", "value": S}]}
GIVEN: list[tuple[str, str, Any]] = [
    ("secretsmanager", "GetSecretValue", {"Name": "a", "SecretString": S}),
    ("secretsmanager", "GetSecretValue", {"Name": "a", "SecretBinary": S.encode()}),
    ("secretsmanager", "GetSecretValue", {"Name": "a", "SecretString": json.dumps({"k": S})}),
    (
        "secretsmanager",
        "BatchGetSecretValue",
        {"SecretValues": [{"Name": "a", "SecretString": "x"}, {"Name": "b", "SecretString": S}]},
    ),
    ("secretsmanager", "GetRandomPassword", {"RandomPassword": S}),
    ("ssm", "GetParameter", {"Parameter": {"Name": "/a", "Type": "SecureString", "Value": S}}),
    ("ssm", "GetParameter", {"Parameter": {"Name": "/a/token", "Type": "String", "Value": S}}),
    ("ssm", "GetParameters", {"Parameters": [{"Name": "a", "Type": "SecureString", "Value": S}]}),
    (
        "ssm",
        "GetParametersByPath",
        {"Parameters": [{"Name": "a", "Type": "SecureString", "Value": S}]},
    ),
    ("sts", "AssumeRole", {"Credentials": {"SecretAccessKey": S, "SessionToken": "x" * 20}}),
    ("sts", "AssumeRoleWithWebIdentity", {"Credentials": {"SessionToken": S}}),
    ("sts", "GetSessionToken", {"Credentials": {"SecretAccessKey": S}}),
    ("sso", "GetRoleCredentials", {"roleCredentials": {"secretAccessKey": S}}),
    ("cognito-idp", "InitiateAuth", {"AuthenticationResult": {"RefreshToken": S}}),
    ("cognito-idp", "DescribeUserPoolClient", {"UserPoolClient": {"ClientSecret": S}}),
    ("cognito-identity", "GetCredentialsForIdentity", {"Credentials": {"SecretKey": S}}),
    ("ecr", "GetAuthorizationToken", {"authorizationData": [{"authorizationToken": LOGIN}]}),
    ("iam", "CreateAccessKey", {"AccessKey": {"SecretAccessKey": S}}),
    ("kms", "GenerateDataKey", {"Plaintext": S.encode()}),
    ("kms", "Decrypt", {"Plaintext": S.encode()}),
    ("redshift", "GetClusterCredentials", {"DbPassword": S}),
    ("apigateway", "GetApiKeys", {"items": [{"value": S}]}),
    (
        "lambda",
        "GetFunctionConfiguration",
        {"FunctionName": "f", "Environment": {"Variables": {"MQ_DSN": S}}},
    ),
    *(
        ("lambda", "GetFunctionConfiguration", {"Environment": {"Variables": {"STORE": url}}})
        for url in (f"amqps://app:{quote(S)}@mq/x", f"redis://:{quote(S)}@cache:6379")
    ),
    ("ecs", "DescribeTaskDefinition", {"taskDefinition": {"containerDefinitions": [SET]}}),
    ("ecs", "DescribeTasks", {"tasks": [{"overrides": {"containerOverrides": [SET]}}]}),
    ("batch", "DescribeJobDefinitions", {"jobDefinitions": [{"containerProperties": SET}]}),
    (
        "codebuild",
        "BatchGetProjects",
        {"projects": [{"environment": {"environmentVariables": SET["environment"]}}]},
    ),
    ("sagemaker", "DescribeModel", {"PrimaryContainer": {"Environment": {"HF_TOKEN": S}}}),
    ("glue", "GetJob", {"Job": {"DefaultArguments": {"--db_password": S}}}),
    ("glue", "GetConnection", {"Connection": {"ConnectionProperties": {"PASSWORD": S}}}),
    (
        "cognito-idp",
        "DescribeIdentityProvider",
        {"IdentityProvider": {"ProviderDetails": {"client_secret": S}}},
    ),
    (
        "elbv2",
        "DescribeRules",
        {"Rules": [{"Actions": [{"AuthenticateOidcConfig": {"ClientSecret": S}}]}]},
    ),
    (
        "ssm",
        "GetParameter",
        {"Parameter": {"Name": "/a", "Type": "String", "Value": f"mysql://u:{quote(S)}@db"}},
    ),
]


def model(service: str, operation: str) -> Any:
    return Session().get_service_model(service).operation_model(operation)


@pytest.mark.parametrize(("service", "operation", "answer"), GIVEN)
def test_what_an_answer_gives_out_is_masked(
    service: str, operation: str, answer: Any, redactor: Redactor
) -> None:
    answers.register_answer(model(service, operation), answer)
    assert "h0rse" not in redactor.mask(f"it is {S}")
    assert base64.b64encode(S.encode()).decode()[4:20] not in redactor.mask(LOGIN)


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("rds", "ModifyDBInstance", {"DBInstanceIdentifier": "d", "MasterUserPassword": S}),
        ("secretsmanager", "PutSecretValue", {"SecretId": "a", "SecretString": S}),
        ("cognito-idp", "AdminSetUserPassword", {"Username": "ana", "Password": S}),
    ],
)
def test_what_a_call_hands_in_is_masked(
    service: str, operation: str, params: Any, redactor: Redactor
) -> None:
    answers.register_request(params, model(service, operation))
    assert "h0rse" not in redactor.mask(f"it is {S}")
    assert redactor.mask("ana of d") == "ana of d"


def test_what_is_no_secret_stays_readable(redactor: Redactor) -> None:
    text = "a-plain-value of a function that answered all-is-well"
    plain = {"Parameter": {"Name": "/a/mode", "Type": "String", "Value": "a-plain-value"}}
    answers.register_answer(model("ssm", "GetParameter"), plain)
    variables = {"Variables": {"MODE": "all-is-well"}}
    function = {"FunctionName": "f", "Environment": variables}
    answers.register_answer(model("lambda", "GetFunctionConfiguration"), function)
    container = {"name": "all-is-well", "environment": [{"name": "MODE", "value": "all-is-well"}]}
    task = {"family": "function", "containerDefinitions": [container]}
    answers.register_answer(model("ecs", "DescribeTaskDefinition"), {"taskDefinition": task})
    answers.register_answer(model("sqs", "ListQueues"), {"QueueUrls": ["a-plain-value"]})
    assert redactor.mask(text) == text


def test_a_call_by_a_client_of_ones_own_counts_too(redactor: Redactor) -> None:
    session = boto3.Session("a", "b", region_name="us-west-2")
    calls.record_calls(session, Journal(), Sharing())
    client = session.client("secretsmanager")

    class Raw:
        def stream(self, **_: Any) -> Any:
            yield json.dumps({"Name": "mine", "SecretString": S}).encode()

    def answer(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 200, {}, Raw())

    client.meta.events.register("before-send", answer)
    assert client.get_secret_value(SecretId="mine")["SecretString"] == S
    assert redactor.mask(S) == "[secret mine]"
