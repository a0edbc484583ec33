"""moto with less to load: a lab is up sooner and takes less memory."""

from __future__ import annotations

from functools import cache
from typing import Any

import moto.core.utils
import moto.utilities.utils
from moto.core.loaders import Loader, create_loader

_moto_load_resource = moto.utilities.utils.load_resource


@cache
def loader() -> Loader:
    """One loader of AWS's service models for moto and for the lab's own clients.

    Each parses them anew else.
    """
    return create_loader()


def lighten() -> None:
    """To be called before moto's services are imported; later it has no effect."""
    moto.core.utils.create_loader = loader
    moto.utilities.utils.load_resource = _load_resource


def _load_resource(resource: str) -> Any:
    """No tables of EC2 instance types (90 MB): nothing in the lab is an EC2 instance."""
    return (
        {} if resource.startswith("ec2/resources/instance_type") else _moto_load_resource(resource)
    )
