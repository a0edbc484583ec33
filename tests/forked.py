"""A pytest plugin: kernels of nbval are forked, as those of a batch are."""

from __future__ import annotations

from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from opslib.runs import provisioners


def forked(_: object, *__: object, parent: KernelManager) -> object:
    return provisioners.forked(parent)


KernelProvisionerFactory.create_provisioner_instance = forked
