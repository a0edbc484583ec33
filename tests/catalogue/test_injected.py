"""What papermill puts into a notebook is checked in the kernel: names, types, what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from opslib.catalogue import injected
from opslib.core.errors import UsageError

DECLARED = (
    'target: str = "lab/shop"  # the target\nto: str = ""  # a version\n'
    'hours: float = 1.0  # how far back\nfunction: str = "api"  # [required] which'
)


def kernel(**given: Any) -> dict[str, Any]:
    """The names of a kernel that ran the cells of a notebook, papermill's among them."""
    put_in = "# Parameters\n" + "".join(f"{name} = {value!r}\n" for name, value in given.items())
    names: dict[str, Any] = {"In": ["", DECLARED, put_in, "connect(target)"]}
    exec(DECLARED + "\n" + put_in, names)
    return names


def test_a_name_that_is_not_declared_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Unknown parameter 'targt' .*Did you mean 'target'"):
        injected.check(kernel(targt="shop-production"))


def test_the_declared_types_are_put_on_what_was_given() -> None:
    names = kernel(to=3, hours=2)
    injected.check(names)
    assert (names["to"], names["hours"], type(names["hours"])) == ("3", 2.0, float)


@pytest.mark.parametrize("given", [{"hours": "soon"}, {"to": True}, {"to": 1.1}, {"hours": [1]}])
def test_another_type_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"is not (str|float)"):
        injected.check(kernel(**given))


def test_outside_the_lab_what_is_required_has_to_be_given() -> None:
    with pytest.raises(UsageError, match="needs function"):
        injected.check(kernel(target="shop-production"))
    injected.check(kernel(target="shop-production", function="worker"))


def test_where_nothing_was_put_in_nothing_is_checked() -> None:
    names: dict[str, Any] = {"In": ["", DECLARED, "%matplotlib inline", "targt = 1"], "targt": 1}
    injected.check(names)
    injected.check({})
