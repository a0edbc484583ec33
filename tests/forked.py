"""A pytest plugin: kernels of nbval are forked, as those of a batch are."""

from __future__ import annotations

from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory

from opslib.runs import provisioners


def forked(_: Any, kernel_id: str, kernel_spec: Any, parent: Any) -> Any:
    return provisioners.forked(parent)


KernelProvisionerFactory.create_provisioner_instance = forked  # type: ignore[assignment]
