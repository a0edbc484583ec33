"""Parameters as papermill puts them into a notebook: checked by the kernel itself.

papermill only warns of a name that is not declared, and the notebook would run on the default; it
turns text into numbers by its looks. So whoever ran it, the kernel compares what was put in with
what is declared, before anything is asked.
"""

import ast
from collections.abc import MutableMapping, Sequence
from typing import Any

from opslib.catalogue import parameters
from opslib.catalogue.parameters import Parameter

_MARK = "# Parameters\n"  # how papermill begins the cell that it puts in


def check(names: MutableMapping[str, Any]) -> None:
    """Put the declared types on what was put in. `names`: a kernel's, with the cells that it ran.

    Raises UsageError: a name that is not declared, a value of another type, one that is missing.
    """
    declared: Sequence[Parameter] = ()
    for cell in names.get("In", ()):
        if cell.startswith(_MARK) and declared:
            given = {name: names[name] for name in _assigned(cell) if name in names}
            kinds = {each.name: each.type for each in declared}
            for name, value in given.items():
                if kinds.get(name) == "str" and type(value) is int:  # by its looks
                    given[name] = str(value)
            names.update(parameters.coerce(declared, given, "this notebook"))
        else:
            declared = parameters.declared(cell) or declared


def _assigned(cell: str) -> list[str]:
    found = (node.targets for node in ast.parse(cell).body if isinstance(node, ast.Assign))
    return [name.id for targets in found for name in targets if isinstance(name, ast.Name)]
