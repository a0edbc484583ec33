"""Lambda.

Moto knows no revision ids, no update in progress, no account limits, and publishes what did not
change.

As in AWS here: $LATEST changes and versions are snapshots of it; each change gives a new
RevisionId, and so does the
end of an update, about a second later; a RevisionId that is not the present one is a
PreconditionFailedException;
while an update runs a second one is a ResourceConflictException; publishing what did not change
gives the last version.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from moto.awslambda.models import LambdaAlias, LambdaBackend, LambdaFunction, LambdaStorage
from moto.core.utils import iso_8601_datetime_with_nanoseconds

from opslib.lab.aws.operations import AwsError, Call, Result, answers

UPDATE_SECONDS = 0.8
CONCURRENCY = 1000
_MOVED = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)
_moto_configuration = LambdaFunction.get_configuration
_moto_set_version = LambdaFunction.set_version
_moto_publish = LambdaStorage.publish_version
_moto_alias_update = LambdaAlias.update


def install() -> None:
    LambdaFunction.get_configuration = _configuration
    LambdaFunction.set_version = _set_version
    LambdaStorage.publish_version = _publish
    LambdaAlias.update = _alias_update


def find(call: Call, name: str | None = None, qualifier: str | None = None) -> LambdaFunction:
    """The function (or version) that a call names. ResourceNotFoundException when there is none."""
    backend: LambdaBackend = call.backend()
    return backend.get_function(
        name or call.params["FunctionName"], qualifier or call.params.get("Qualifier")
    )


def _touch(function: LambdaFunction) -> None:
    """A new revision, in progress for a moment."""
    function.revision_id = str(uuid4())
    function.updated_until = time.monotonic() + UPDATE_SECONDS
    function.last_modified = iso_8601_datetime_with_nanoseconds()


def _settle(function: LambdaFunction) -> bool:
    """Whether the last update is over; its end is a revision of its own."""
    until = getattr(function, "updated_until", None)
    if until is None:
        return True
    if time.monotonic() < until:
        return False
    function.updated_until = None
    function.revision_id = str(uuid4())
    return True


def _revision(function: LambdaFunction) -> str:
    _settle(function)
    if not hasattr(function, "revision_id"):
        function.revision_id = str(uuid4())
    revision: str = function.revision_id
    return revision


def _configuration(self: LambdaFunction, on_create: bool = False) -> dict[str, Any]:
    config: dict[str, Any] = _moto_configuration(self, on_create)
    config["RevisionId"] = _revision(self)
    config["LastUpdateStatus"] = "Successful" if _settle(self) else "InProgress"
    if config["LastUpdateStatus"] == "InProgress":
        config["LastUpdateStatusReasonCode"] = "Creating"
        config["LastUpdateStatusReason"] = "The function is being created."
    return config


def _set_version(self: LambdaFunction, version: int) -> None:
    modified = self.last_modified
    _moto_set_version(self, version)
    self.last_modified = (
        modified  # a version keeps the time of the code and configuration that it holds
    )
    self.revision_id = str(uuid4())


def _publish(self: LambdaStorage, name_or_arn: str, description: str = "") -> LambdaFunction | None:
    """As moto, but a first version ends the change that it holds.

    Else the second call would publish it again.
    """
    function: LambdaFunction | None = _moto_publish(self, name_or_arn, description)
    if function is not None:
        self._get_latest(function.function_name).code_or_config_updated = False
    return function


def _alias_update(self: LambdaAlias, *given: Any) -> None:
    _moto_alias_update(self, *given)
    self.revision_id = str(uuid4())


def _require_revision(call: Call, present: str) -> None:
    if call.params.get("RevisionId") not in (None, "", present):
        raise AwsError("PreconditionFailedException", _MOVED, Type="User")


def _require_settled(function: LambdaFunction) -> None:
    if not _settle(function):
        raise AwsError(
            "ResourceConflictException",
            "The operation cannot be performed at this time. "
            f"An update is in progress for resource: {function.function_arn}",
            Type="User",
        )


def _require_code(call: Call) -> None:
    """What S3 does not have is refused, as Lambda does."""
    bucket, key = call.params.get("S3Bucket"), call.params.get("S3Key")
    if bucket and call.backend("s3").get_object(bucket, key) is None:
        raise AwsError(
            "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The "
            "specified key does not exist.",
        )


@answers("lambda", "UpdateFunctionConfiguration", "UpdateFunctionCode")
def update(call: Call) -> Result:
    function = find(call)
    _require_settled(function)
    _require_revision(call, _revision(function))
    if call.params.get("DryRun"):
        _require_code(call)
        return _configuration(function)
    if call.operation == "UpdateFunctionCode":
        _require_code(call)
        call.moto()
    else:
        function.update_configuration(
            {k: v for k, v in call.params.items() if k not in ("FunctionName", "RevisionId")}
        )
    _touch(function)
    return _configuration(function)


@answers("lambda", "PublishVersion")
def publish_version(call: Call) -> Result:
    function = find(call)
    _require_settled(function)
    _require_revision(call, _revision(function))
    wanted = call.params.get("CodeSha256")
    if wanted not in (None, "", function.code_sha_256):
        raise AwsError(
            "InvalidParameterValueException",
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256.",
        )
    described = call.params.get("Description") or function.description  # as AWS has it
    published = call.backend().publish_version(call.params["FunctionName"], described)
    return _configuration(published)


@answers("lambda", "GetFunctionConfiguration", "GetFunction")
def get_function(call: Call) -> Result:
    """As moto, but what is asked for by an alias is named by it."""
    function = find(call)
    qualifier = call.params.get("Qualifier")
    config = _configuration(function)
    if qualifier and not qualifier.isdigit():
        config["FunctionArn"] = (
            f"{config['FunctionArn'].split(':function:')[0]}:function:{function.function_name}:{qualifier}"
        )
    if call.operation == "GetFunctionConfiguration":
        return config
    code: Result = function.get_code()
    return {**code, "Configuration": config}


@answers("lambda", "UpdateAlias")
def update_alias(call: Call) -> Result:
    given = call.params
    backend: LambdaBackend = call.backend()
    _require_revision(call, backend.get_alias(given["Name"], given["FunctionName"]).revision_id)
    alias = backend.update_alias(
        given["Name"],
        given["FunctionName"],
        given.get("FunctionVersion"),
        given.get("Description"),
        given.get("RoutingConfig"),
    )
    answer: Result = alias.to_json()
    return answer


@answers("lambda", "ListVersionsByFunction")
def list_versions(call: Call) -> Result:
    find(call)  # moto answers an empty list for a function that is not there
    versions = call.backend().list_versions_by_function(call.params["FunctionName"])
    return _page(call, "Versions", map(_configuration, versions))


@answers("lambda", "ListFunctions")
def list_functions(call: Call) -> Result:
    functions = call.backend().list_functions(call.params.get("FunctionVersion"))
    return _page(call, "Functions", map(_configuration, functions))


@answers("lambda", "ListAliases")
def list_aliases(call: Call) -> Result:
    aliases = (
        alias.to_json() for alias in call.backend().list_aliases(call.params["FunctionName"])
    )
    wanted = call.params.get("FunctionVersion")
    return _page(
        call, "Aliases", (alias for alias in aliases if wanted in (None, alias["FunctionVersion"]))
    )


@answers("lambda", "GetAccountSettings")
def get_account_settings(call: Call) -> Result:
    functions = list(call.backend().list_functions())
    reserved = sum(int(function.reserved_concurrency or 0) for function in functions)
    return {
        "AccountLimit": {
            "TotalCodeSize": 80530636800,
            "CodeSizeUnzipped": 262144000,
            "CodeSizeZipped": 52428800,
            "ConcurrentExecutions": CONCURRENCY,
            "UnreservedConcurrentExecutions": CONCURRENCY - reserved,
        },
        "AccountUsage": {
            "TotalCodeSize": sum(function.code_size for function in functions),
            "FunctionCount": len(functions),
        },
    }


def _page(call: Call, key: str, items: Iterable[Mapping[str, Any]], size: int = 50) -> Result:
    """At most 50 items, and the marker of the next page; moto answers all at once."""
    listed = list(items)
    start = int(call.params.get("Marker") or 0)
    end = start + min(int(call.params.get("MaxItems") or size), size)
    return {key: listed[start:end], **({"NextMarker": str(end)} if end < len(listed) else {})}
