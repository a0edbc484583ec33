"""A lost region: whether it is, and what there is outside of it. Nothing is a clear answer, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from opslib import recovery
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.findings import Finding
from tests.conftest import PracticeLab
from tests.notebooks import run

TARGET = "lab/ai-studio-production"
OTHER = "eu-west-1"


def by_part(found: list[Finding]) -> dict[str, Finding]:
    return {each.check.partition(" outside of")[0]: each for each in found}


@pytest.fixture
def kept(ops: Connection, lab: PracticeLab) -> Iterator[Connection]:
    """Copies in the other region, as somebody makes them beforehand."""
    there = ops.at(OTHER)
    for name in ops.target["secrets"]:
        there.call("secretsmanager", "create_secret", Name=name, SecretString="a replica's")
    for key, of in ops.target["services"].items():
        there.call("ecr", "create_repository", repositoryName=f"ai-studio-{key}")
        assert of["name"] == f"ai-studio-{key}"
    yield ops
    lab.reset()


def test_a_lost_region_is_told_from_one_that_denies(ops: Connection, lab: PracticeLab) -> None:
    assert recovery.check_region(ops).worst == "ok"
    with lab.denied("ec2:DescribeAvailabilityZones", "ai-studio-production"):
        [found] = recovery.check_region(ops)
        assert (found.status, "is denied, so it answers" in found.seen) == ("ok", True)
    with lab.broken("region-lost", "ai-studio-production"):
        left = run("recovery/region", target=TARGET)
    assert left["ops"].findings.causes == {"region-lost"}
    assert "The lab pretends" in next(each.seen for each in left["ops"].findings)


def test_nothing_outside_is_critical_and_says_what_would_have_to_be(ops: Connection) -> None:
    found = recovery.check_elsewhere(ops)
    parts = by_part(found)
    assert parts["secrets"].seen.startswith("nothing. There would have to be a replica of each")
    assert {each.status for each in found if each.check != "its address"} >= {"critical"}
    assert "ai-studio-backup-assets in eu-central-1. There would" in parts["buckets"].seen
    assert found.evidence["part"].iloc[0] == "secrets", "the order in which they come up"


@pytest.mark.slow
def test_what_is_there_is_found_and_what_is_in_part_is_named(kept: Connection) -> None:
    parts = by_part(recovery.check_elsewhere(kept))
    assert (parts["secrets"].status, parts["secrets"].seen) == ("ok", "7 of 7")
    assert (parts["images"].status, parts["images"].seen) == ("ok", "4 of 4")
    kept.at(OTHER).call("ecr", "delete_repository", repositoryName="ai-studio-worker")
    images = by_part(recovery.check_elsewhere(kept))["images"]
    assert (images.status, "3 of 4; not: ai-studio-worker" in images.seen) == ("critical", True)


def test_without_another_region_nothing_is_known_to_be_elsewhere(ops: Connection) -> None:
    facts = {key: part for key, part in ops.target.facts.items() if key != "recovery"}
    ops.target = replace(ops.target, facts=Facts(facts, "a file"))
    [found] = recovery.check_elsewhere(ops)
    assert (found.status, "none is described" in found.seen) == ("critical", True)
