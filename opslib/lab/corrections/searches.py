"""OpenSearch Service.

moto's DescribeDomain calls its service software `SoftwareUpdateOptions`, which is another thing,
says nothing of what is under way, and names a VPC's domain without its VPC.
"""

from typing import Any

from opslib.lab.aws.operations import Call, Result, answers


@answers("opensearch", "DescribeDomain")
def describe_domain(call: Call) -> Result:
    told = call.moto()
    status: dict[str, Any] = told["DomainStatus"]
    domain = call.backend().domains[status["DomainName"]]
    said = getattr(domain, "said", {})  # what a fault makes of it
    status["ServiceSoftwareOptions"] = {
        "CurrentVersion": "OpenSearch_2_19_R20260901",
        "NewVersion": "",
        "UpdateAvailable": False,
        "Cancellable": False,
        "UpdateStatus": "COMPLETED",
        "Description": "There is no software update available for this domain.",
        "AutomatedUpdateDate": 0,
        "OptionalDeployment": True,
    }
    status["SoftwareUpdateOptions"] = {"AutoSoftwareUpdateEnabled": False}
    processing = status.get("Processing")
    status["DomainProcessingStatus"] = "Modifying" if processing else "Active"
    if subnets := status.get("VPCOptions", {}).get("SubnetIds"):
        found = call.backend("ec2").get_subnet(subnets[0])
        status["VPCOptions"]["VPCId"] = found.vpc_id
    status.update(said)
    return told
