"""The command `opslib target`: what there is, and what is wrong in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opslib.cli.commands import cli
from opslib.core.connections import targets

SHOP = """title: Shop staging
system: shop
environment: staging
production: false
account: "012345678901"
region: eu-west-1
functions:
  api: {name: shop-api}
queues:
  mail: {name: shop-mail}
jobs:
  mail: {table: mails, item: order_id, stale_minutes: 10, queue: mial, function: worker}
database: {secret: shop/db, migrations_first: shop-prod}
alarms:
  patterns: [shop-*]
  expected: {shop-errors: logs/erors}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "parameters" / "targets"
    made.mkdir(parents=True)
    (tmp_path / "notebooks").symlink_to(Path(__file__).resolve().parents[2] / "notebooks")
    monkeypatch.setenv("OPSLIB_HOME", str(tmp_path))
    (made / "shop-staging.yaml").write_text(SHOP)
    return made


def called(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["target", *arguments])


def test_names_that_lead_nowhere_are_found_with_their_lines(folder: Path) -> None:
    ended = called("check", "shop-staging")
    assert ended.exit_code == 2
    lines = [line.partition("shop-staging.yaml:")[2] for line in ended.stdout.splitlines()]
    assert [line.split(": ")[:2] for line in lines] == [
        ["12", "jobs.mail.queue"],
        ["12", "jobs.mail.function"],
        ["13", "database.migrations_first"],
        ["16", "alarms.expected.shop-errors"],
    ]
    assert "Did you mean 'mail'" in lines[0]
    assert "'logs/errors'" in lines[3]


def test_a_good_file_is_said_to_be_good(folder: Path) -> None:
    text = SHOP.replace("mial", "mail").replace("worker", "api").replace("erors", "errors")
    (folder / "shop-staging.yaml").write_text(text.replace("shop-prod", "shop-staging"))
    ended = called("check", "lab/shop-staging")
    assert (ended.exit_code, ended.stdout) == (
        0,
        "lab/shop-staging: nothing is wrong in the file.\n",
    )


def test_a_broken_file_hides_no_other(folder: Path) -> None:
    (folder / "shop-dev.yaml").write_text("title: [Shop\n")
    (folder / "shop-test.yaml").write_text("- a list\n")
    rows = json.loads(called("list", "--json").stdout)
    assert [(row["name"], len(row["problems"])) for row in rows] == [
        ("shop-dev", 1),
        ("shop-staging", 4),
        ("shop-test", 1),
    ]
    assert "shop-staging" in called("list").stdout
    assert len(called("check", "*").stdout.splitlines()) == 6


@pytest.mark.some(6)
@pytest.mark.parametrize("name", targets.names())
def test_nothing_is_wrong_in_the_targets_that_are_here(name: str) -> None:
    assert called("check", name).exit_code == 0


def test_the_profile_is_the_files_unless_somebody_says_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPSLIB_PROFILE", raising=False)
    assert targets.load("shop-staging").profile is None
    (folder / "shop-staging.yaml").write_text(f"{SHOP}profile: shop\n")
    assert targets.load("shop-staging").profile == "shop"
    for given, profile in {"ci": "ci", "": None}.items():
        monkeypatch.setenv("OPSLIB_PROFILE", given)
        assert targets.load("shop-staging").profile == profile
