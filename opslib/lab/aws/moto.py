"""moto with less to load: a lab is up sooner and takes less memory."""

from functools import cache
from typing import Any

import moto.core.utils
import moto.utilities.utils
from botocore.exceptions import UnknownServiceError
from botocore.session import Session
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
    moto.core.utils.method_names_from_class = cache(moto.core.utils.method_names_from_class)
    moto.utilities.utils.load_resource = _load_resource
    Session.get_available_regions = _regions


def _regions(
    self: Session, service_name: str, partition_name: str = "aws", allow_non_regional: bool = False
) -> list[str]:
    """As botocore's, which parses the service's whole model to know how its addresses begin: EC2's
    when moto is imported.
    """
    prefix = service_name
    if service_name != "ec2":
        try:
            model = loader().load_service_model(service_name, "service-2")
        except UnknownServiceError:
            return []
        prefix = model["metadata"].get("endpointPrefix", service_name)
    resolver = self._get_internal_component("endpoint_resolver")
    return list(resolver.get_available_endpoints(prefix, partition_name, allow_non_regional))


def _load_resource(resource: str) -> Any:
    """No tables of EC2 instance types (90 MB): nothing in the lab is an EC2 instance."""
    return (
        {} if resource.startswith("ec2/resources/instance_type") else _moto_load_resource(resource)
    )
