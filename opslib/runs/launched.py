"""What runs as a kernel's process: ipykernel, which waits for who reads its outputs.

It is run as a file, so that nothing of opslib is imported before a notebook asks for it.
"""

import gc
import sys
from typing import Any

_MESSAGES = 20  # on their way
_ZEROMQS = 1000  # its own default
_AT_ONCE = 1_000_000  # characters printed before one waits until they are sent


def skip_debugger() -> None:
    """Import what ipykernel has of it without debugpy, which a run has no use for."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    import ipykernel.debugger  # noqa: F401

    del sys.modules["debugpy"]


def application(**options: Any) -> Any:
    """ipykernel's, which would drop outputs that are not read in time, and keep in memory what is
    printed faster than it is read.
    """
    # What a run makes is used to its end. Looking for garbage in it, and in all that is imported,
    # is a seventh of a daily report.
    gc.set_threshold(50_000, 20, 20)
    gc.enable()  # it is off where kernels are forked from
    skip_debugger()
    from ipykernel.iostream import OutStream
    from ipykernel.kernelapp import IPKernelApp

    class Application(IPKernelApp):
        def init_iopub(self, context: Any) -> None:
            context.sndhwm = _MESSAGES  # of every socket that is made from now on
            super().init_iopub(context)  # type: ignore[no-untyped-call]
            context.sndhwm = _ZEROMQS
            self.iopub_socket.xpub_nodrop = 1  # it waits

    write = OutStream.write
    waiting: dict[int, int] = {}

    def written(stream: Any, text: str) -> Any:
        number = write(stream, text)
        waiting[id(stream)] = waiting.get(id(stream), 0) + len(text)
        if waiting[id(stream)] > _AT_ONCE:
            waiting[id(stream)] = 0
            stream.flush()
        return number

    OutStream.write = written  # type: ignore[assignment,method-assign]
    return Application.instance(**options)


if __name__ == "__main__":
    del sys.path[0]  # this folder
    kernel = application()
    kernel.initialize(sys.argv[1:])
    kernel.start()
