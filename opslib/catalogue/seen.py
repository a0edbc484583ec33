"""What is seen, in a few groups: down, slow, errors, jobs … `words.yaml` says who helps in each."""

import fnmatch
from collections.abc import Iterable
from typing import NamedTuple

from opslib.catalogue.procedures import Procedure
from opslib.core import beside


class Group(NamedTuple):
    """`word`: what one says for it. `procedures`: which help, the first first."""

    word: str
    title: str
    procedures: tuple[Procedure, ...]


def grouped(known: Iterable[Procedure]) -> list[Group]:
    """Each procedure in every group that it helps; at last those that are in none."""
    by_name = {procedure.name: procedure for procedure in known}
    found = []
    for word, said in beside(__file__, "words")["seen"].items():
        hits = (name for each in said["helps"] for name in fnmatch.filter(by_name, each))
        found.append(
            Group(word, said["title"], tuple(map(by_name.__getitem__, dict.fromkeys(hits))))
        )
    met = {procedure.name for group in found for procedure in group.procedures}
    others = tuple(procedure for name, procedure in by_name.items() if name not in met)
    return [*found, Group("", "Every day, and anything else", others)]
