"""Who we are to AWS: what we log in with, and who AWS says that is.

Sessions of boto3: a target's, with its profile and without a prompt; the lab's, which heed nothing
of this machine's. And which of AWS's partitions a region is in: China, GovCloud and the European
sovereign cloud have accounts, names and global services of their own.
"""

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from opslib.core.connections.meanings import entry
from opslib.core.errors import NotAllowed

_GLOBAL = {"CLOUDFRONT", "AWS/CloudFront", "AWS/Route53", "AWS/Billing", "AWS/DDoSProtection"}


@dataclass(frozen=True)
class Identity:
    """Who AWS says we are (STS GetCallerIdentity)."""

    account: str
    arn: str

    @property
    def user(self) -> str:
        """The last part of the ARN: an IAM user's name or a role's session name."""
        return self.arn.rsplit("/", 1)[-1]

    @property
    def person(self) -> tuple[str, str] | None:
        """Who it is where AWS vouches for the name: an IAM user, or a user of IAM Identity Center.

        A kind and a name. None for root, a federated user and a role whose session the caller
        names: there one person can be many.
        """
        where = r"arn:aws[\w-]*:(iam|sts)::\d{12}:"
        if user := re.fullmatch(where + r"user/(?:.*/)?([^/]+)", self.arn):
            return "IAM user", f"{self.account}/{user[2].casefold()}"
        sso = r"assumed-role/AWSReservedSSO_[^/]+_[0-9a-f]{16}/([^/]+)"
        if user := re.fullmatch(where + sso, self.arn):  # one name whatever the permission set
            return "IAM Identity Center user", user[2].casefold()
        return None


@cache
def _endpoints() -> Any:
    from botocore.loaders import create_loader
    from botocore.regions import EndpointResolver

    return EndpointResolver(create_loader().load_data("endpoints"))


def partition(region: str) -> str:
    """What ARNs in a region begin with: aws, aws-cn, aws-us-gov, aws-eusc."""
    return str(_endpoints().get_partition_for_region(region))


def suffix(region: str) -> str:
    """What the addresses of AWS end with in a region: amazonaws.com, amazonaws.com.cn."""
    return str(_endpoints().get_partition_dns_suffix(partition(region)))


def home(region: str, service: str = "iam") -> str:
    """Where a global service of a region's partition is, with its events: us-east-1, cn-north-1."""
    found = _endpoints().construct_endpoint(service, region, partition(region)) or {}
    return str(found.get("credentialScope", {}).get("region", region))


def kept_in(region: str, what: str) -> str:
    """Where metrics of a namespace are, or what WAF has of a scope: in one region of the
    partition what belongs to a global service, whatever the target's.
    """
    return home(region) if what in _GLOBAL else region


def of_profile(region: str, profile: str | None) -> Any:
    """A session with a profile's credentials. Raises botocore's errors."""
    import boto3

    made = boto3.Session(region_name=region, profile_name=profile)

    def refuse(prompt: str) -> NoReturn:
        name, asked = made.profile_name, prompt.strip(": ").rpartition(" ")[2]
        raise NotAllowed(
            entry("mfa").format(profile=name, option=f" --profile {name}", asked=asked)
        )

    chain = made._session.get_component("credential_provider")
    chain.get_provider("assume-role")._prompter = refuse
    return made


def of_the_lab(region: str, keys: tuple[str, str]) -> Any:
    """A session that reads neither AWS_… nor a file of this machine's."""
    import boto3
    import botocore.session
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as KNOWN

    read = {name: (None, None, *rest) for name, (_, _, *rest) in KNOWN.items()}
    none = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    core = botocore.session.Session(session_vars=read | none)
    return boto3.Session(*keys, region_name=region, botocore_session=core)
