"""AWS WAF. Moto takes addresses that are none, and what belongs to CloudFront in every region."""

import ipaddress
from collections.abc import Iterable

from opslib.lab.aws.operations import AwsError, Call, Result, answers

_GLOBAL = "us-east-1"
_OPERATIONS = ("CreateIPSet", "UpdateIPSet", "GetIPSet", "ListIPSets", "GetWebACL", "ListWebACLs")


@answers("wafv2", *_OPERATIONS)
def of_a_scope(call: Call) -> Result:
    if call.params.get("Scope") == "CLOUDFRONT" and call.region != _GLOBAL:
        text = "Error reason: The scope is not valid., field: SCOPE_VALUE, parameter: CLOUDFRONT"
        raise AwsError("WAFInvalidParameterException", text, 400)
    _require_networks(call.params.get("Addresses", ()))
    return call.moto()


def _require_networks(addresses: Iterable[str]) -> None:
    for each in addresses:
        try:
            ipaddress.ip_network(each)
        except ValueError as exc:
            text = "Error reason: The parameter contains formatting that is not valid., field: "
            text += f"IP_ADDRESS, parameter: {each}"
            raise AwsError("WAFInvalidParameterException", text, 400) from exc
        if "/" not in each:
            text = f"Error reason: CIDR is missing., field: IP_ADDRESS, parameter: {each}"
            raise AwsError("WAFInvalidParameterException", text, 400)
