"""A pytest plugin: kernels of nbval are forked, as those of a batch are."""

from __future__ import annotations

from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory

from opslib.runs.provisioners import ForkProvisioner


def forked(_: Any, kernel_id: str, kernel_spec: Any, parent: Any) -> Any:
    return ForkProvisioner(kernel_id=kernel_id, kernel_spec=kernel_spec, parent=parent)


KernelProvisionerFactory.create_provisioner_instance = forked  # type: ignore[assignment]
