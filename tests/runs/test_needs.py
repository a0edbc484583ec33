"""What procedures need of a target's file: a table, whose names are all there."""

from __future__ import annotations

import re

from opslib.catalogue import procedures
from opslib.core import strict_yaml
from opslib.runs import choices


def test_each_need_is_of_a_chapter_or_procedure_and_a_place_that_a_file_may_have() -> None:
    names = procedures.names()
    known = {*names, *(name.split("/")[0] for name in names)}
    places = {".".join(place) for place, _ in strict_yaml.keys("target")}
    assert choices.needs().keys() <= known
    asked = " && ".join(choices.needs().values())
    assert {*re.split(r" (?:&&|\|\|) ", asked)} <= places
