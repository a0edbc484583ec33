"""Run a notebook's code cells in this process.

A second instead of a kernel's three, for tests that look at its objects.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import inspect
import json
from types import FunctionType
from typing import Any

from opslib.catalogue import parameters as declared
from opslib.catalogue import runbooks

find = functools.cache(runbooks.find)


def run(name: str, /, **parameters: Any) -> dict[str, Any]:
    """Execute a procedure or runbook entry; the namespace it leaves (`ops` among it).

    Errors are raised as they are.
    """
    procedure, preset, _ = find(name)
    given = declared.coerce(procedure.parameters, preset | parameters, name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads(procedure.path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        where, await_too = f"{name}:{cell['id']}", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile("".join(cell["source"]), where, "exec", flags=await_too)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(FunctionType(code, namespace)())
        else:
            exec(code, namespace)
        if "parameters" in cell["metadata"].get("tags", ()):
            namespace |= given
    return namespace
