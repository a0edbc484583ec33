"""What procedures need of a target's file: a table, whose names are all there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from opslib import UsageError
from opslib.catalogue import procedures
from opslib.core import paths, strict_yaml
from opslib.runs import choices, runs

LEAST = """\
title: Shop staging
system: shop
environment: staging
production: false
account: "222233334444"
region: eu-central-1
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target's file of which the least is written."""
    made = tmp_path / "parameters" / "targets" / "shop-staging.yaml"
    made.parent.mkdir(parents=True)
    made.write_text(LEAST)
    (tmp_path / "notebooks").symlink_to(paths.notebooks())
    monkeypatch.setenv("OPSLIB_HOME", str(tmp_path))
    return made


def test_each_need_is_of_a_chapter_or_procedure_and_a_place_that_a_file_may_have() -> None:
    names = procedures.names()
    known = {*names, *(name.split("/")[0] for name in names)}
    places = {".".join(place) for place, _ in strict_yaml.keys("target")}
    assert choices.needs().keys() <= known
    for name, said in choices.needs().items():
        asked = {*re.split(r" (?:&&|\|\|) ", said)}
        given = {each for each in asked if each.startswith("-p ")}
        assert asked - given <= places
        assert all(each[3:] in {p.name for p in procedures.find(name).parameters} for each in given)


@pytest.mark.parametrize(
    ("procedure", "described", "lacking"),
    [
        (
            "databases/migrate",
            "database: {instance: shop, migrations: alembic_version}",
            "database.migrations_head or database.migrate.service",
        ),
        (
            "databases/migrate",
            "database: {instance: shop, migrations: alembic_version, migrations_head: abc}",
            "database.migrate or api.migrate",
        ),
        ("databases/query", "database: {instance: shop}", "database.queries or -p query"),
        ("functions/rollback", "functions: {api: {name: shop-api}}", "functions.*.alias"),
        ("functions/update", "functions: {api: {name: shop-api}}", "functions.*.alias"),
        ("jobs/status", "jobs: {mail: {table: mails, item: id, stale_minutes: 9}}", "database"),
        ("metrics/publish", "", "metrics_namespace or -p namespace"),
        ("users/sync", "users: {pool: shop, table: people}", "database"),
    ],
)
def test_a_key_that_a_procedure_needs_is_named_before_anything_starts(
    file: Path, procedure: str, described: str, lacking: str
) -> None:
    file.write_text(f"{LEAST}{described}\n")
    with pytest.raises(UsageError) as refused:
        runs.prepare(procedure, "lab/shop-staging", {}, apply=False)
    assert f"shop-staging.yaml describes no {lacking}, without which" in str(refused.value)


def test_a_parameter_does_in_place_of_what_the_file_does_not_describe(file: Path) -> None:
    file.write_text(f"{LEAST}database: {{instance: shop}}\n")
    _, given = runs.prepare("databases/query", "lab/shop-staging", {"query": "x"}, apply=False)
    assert given["query"] == "x"


@pytest.mark.parametrize(
    ("procedure", "described", "asked"),
    [
        ("users/disable", "users: {pool: shop}", {"user": "a@shop.example"}),
        ("users/password", "users: {pool: shop}", {"user": "a@shop.example"}),
        ("mail/unsuppress", "mail: {identities: [shop.example]}", {"address": "a@shop.example"}),
        ("services/deploy", "services: {web: {cluster: c, name: web}}", {"image": "v2"}),
    ],
)
def test_what_one_system_practises_with_is_no_default_for_another(
    file: Path, procedure: str, described: str, asked: dict[str, Any]
) -> None:
    file.write_text(f"{LEAST}{described}\n")
    with pytest.raises(UsageError, match=rf"{procedure} needs {next(iter(asked))} "):
        runs.prepare(procedure, "lab/shop-staging", {}, apply=False)
    _, given = runs.prepare(procedure, "lab/shop-staging", asked, apply=False)
    assert asked.items() <= given.items()


def test_a_system_practises_with_what_its_own_procedures_say() -> None:
    assert "user" not in runs.prepare("users/password", "lab/bluemoxon-staging", {}, apply=False)[1]
    with pytest.raises(UsageError, match="users/password needs user"):
        runs.prepare("users/password", "lab/dms-dev", {}, apply=False)


def test_what_is_of_no_system_is_a_default_for_every_practice_copy() -> None:
    assert "to" not in runs.prepare("databases/restore", "lab/dms-dev", {}, apply=False)[1]
    with pytest.raises(UsageError, match="databases/restore needs to"):
        runs.prepare("databases/restore", "dms-dev", {}, apply=False)
