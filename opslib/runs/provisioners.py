"""How jupyter_client comes by a kernel that is forked."""

from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from opslib.runs import forks
from opslib.runs.forked import Start


class ForkProvisioner(LocalProvisioner):
    """Gives jupyter_client a forked kernel; a new Python where none can be forked."""

    process: Any = None
    parent: Any

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        start = Start(self.parent.connection_file, kwargs.get("cwd"), kwargs["env"])
        try:
            self.process = forks.Process(start, kwargs.get("pass_fds", ()))
        except (OSError, EOFError):
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.process.pid
        return self.connection_info
