"""Calls that the lab refuses: of keys that it does not know, that a fault denies, that IAM does."""

from opslib.lab.aws import authorizations
from opslib.lab.aws.operations import AwsError, Call

_QUERY_LIKE = {"query", "rest-xml"}
# JSON services that still answer with the query protocol's code.
_QUERY_COMPATIBLE = {"sqs", "cloudwatch"}
_OF_THE_ACCOUNT = {"ce"}  # answered in one region for all


def refusal(call: Call) -> AwsError | None:
    """The error that the real service would answer, None when the call may go on."""
    if not call.account:
        return _unknown_key(call)
    if call.account in call.world.unfit:
        return AwsError("NotInTheLab", call.world.unfit[call.account], 400)
    places = call.world.places_in(call.account, call.region)
    if not places or call.service in _OF_THE_ACCOUNT:
        # IAM knows no regions: a denial holds in those where no target is, too
        places = [each for each in call.world.places.values() if each.account == call.account]
    for place in places:
        lost = "region" in place.faults and call.region == place.region
        if lost and call.service != "sts":
            # AWS says 503, which botocore would ask again four times: practice is not to wait
            return AwsError("ServiceUnavailable", place.faults["region"], 400)
        denied = place.faults.get("deny", {})
        for pattern in (f"{call.service}:{call.operation}", f"{call.service}:*"):
            if pattern in denied:
                return _denied(call, denied[pattern])
    if authorizations.is_over(call):
        return _unknown_key(call)
    if said := authorizations.missing(call):
        return _denied(call, said)
    return None


def _unknown_key(call: Call) -> AwsError:
    text = "The security token included in the request is invalid."
    if call.service == "s3":
        return AwsError(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            403,
        )
    if call.protocol == "ec2":
        return AwsError(
            "AuthFailure", "AWS was not able to validate the provided access credentials", 401
        )
    if call.protocol in _QUERY_LIKE or call.service in _QUERY_COMPATIBLE:
        return AwsError("InvalidClientTokenId", text, 403)
    return AwsError(
        "UnrecognizedClientException", text, 403 if call.protocol == "rest-json" else 400
    )


def _denied(call: Call, message: str) -> AwsError:
    text = message or (
        f"User: {call.user_arn} is not authorized to perform: {call.service}:{call.operation} "
        "because no identity-based policy allows the action"
    )
    if call.protocol == "ec2":
        return AwsError(
            "UnauthorizedOperation",
            f"You are not authorized to perform this operation. {text}",
            403,
        )
    if call.protocol in _QUERY_LIKE or call.service in _QUERY_COMPATIBLE:
        return AwsError("AccessDenied", text, 403)
    return AwsError("AccessDeniedException", text, 403 if call.protocol == "rest-json" else 400)
