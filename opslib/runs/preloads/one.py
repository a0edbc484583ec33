"""What every kernel imports: done in the process that kernels are forked from, and only there.

A fork has the memory of its parent and one thread. So in this process there is no other thread, no
context of zmq, no secret; and `matplotlib_inline` is not imported, which without a kernel gives up
pictures for good.
"""

# ruff: noqa: E402, F401

import gc
import importlib
import os
import sys

gc.disable()  # of what is imported nearly nothing is garbage

for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]  # a kernel brings its own
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
sys.path[:] = [path for path in sys.path if path]  # "" is the folder in which opslib was called

from opslib.runs import launched

launched.skip_debugger()

import encodings.idna

import boto3
import ipykernel.kernelapp
import IPython.core.completerlib
import IPython.core.debugger
import IPython.core.oinspect
import IPython.extensions.storemagic
import pandas
import tornado.platform.asyncio

importlib.import_module("opslib.session")

gc.freeze()  # what the collector does not touch stays shared
