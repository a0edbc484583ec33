"""Who AWS says we are."""

from __future__ import annotations

import re
from dataclasses import dataclass


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
