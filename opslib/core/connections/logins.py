"""boto3 sessions: a target's, with its profile and without a prompt; the lab's, which heed nothing
of this machine's.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn

from opslib.core.connections.meanings import MFA
from opslib.core.errors import NotAllowed

_FILES = ("config_file", "credentials_file")


def of_profile(region: str, profile: str | None) -> Any:
    """A session with a profile's credentials. Raises botocore's errors."""
    import boto3

    made = boto3.Session(region_name=region, profile_name=profile)

    def refuse(prompt: str) -> NoReturn:
        name, asked = made.profile_name, prompt.strip(": ").rpartition(" ")[2]
        raise NotAllowed(MFA.format(profile=name, option=f" --profile {name}", asked=asked))

    chain = made._session.get_component("credential_provider")
    chain.get_provider("assume-role")._prompter = refuse
    return made


def of_the_lab(region: str, keys: tuple[str, str]) -> Any:
    """A session that reads neither AWS_… nor a file of this machine's."""
    import boto3
    import botocore.session
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as KNOWN

    read = {name: (None, None, *rest) for name, (_, _, *rest) in KNOWN.items()}
    none = dict.fromkeys(_FILES, (None, None, os.devnull, None))
    core = botocore.session.Session(session_vars=read | none)
    return boto3.Session(*keys, region_name=region, botocore_session=core)
