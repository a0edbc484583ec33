"""A target that does not fit the lab's estate is said to be so, and harms no other."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from click.testing import CliRunner

from opslib import lab
from opslib.core import strict_yaml
from opslib.core.errors import UsageError
from opslib.lab import commands, control
from opslib.lab.aws import credentials
from opslib.lab.places import Place
from opslib.lab.server import opened
from opslib.lab.world import World

pytestmark = pytest.mark.slow

TARGETS = Path(__file__).resolve().parents[2] / "parameters" / "targets"
PRODUCTION = "bluemoxon-production"


def edited(pattern: str, to: str) -> str:
    """bluemoxon-staging's file with a single edit."""
    text = (TARGETS / "bluemoxon-staging.yaml").read_text()
    changed, count = re.subn(pattern, to, text, count=1, flags=re.MULTILINE)
    assert count == 1
    return changed


# One edit of each kind that README advises, or that somebody makes.
EDITS = {
    "another environment": ("dev", edited("environment: staging", "environment: dev")),
    "no listings": ("staging", edited(r"^  listings:\n(?:    .*\n)*", "")),
    "one function more": ("staging", edited("^queues:", "  extra:\n    name: extra\n\nqueues:")),
    "an instance for the cluster": (
        "staging",
        edited("  cluster: bluemoxon", "  instance: bluemoxon"),
    ),
}
BROKEN = edited("name: bluemoxon-staging-images", "name: b")  # S3 takes no such name


def generated() -> Iterator[tuple[str, tuple[str, str]]]:
    """Each key of the file taken away, each short name changed, to the depth of three."""
    whole = yaml.safe_load((TARGETS / "bluemoxon-staging.yaml").read_text())

    def without(data: Any, place: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for key, value in data.items():
            rest = {other: each for other, each in data.items() if other != key}
            yield f"no {'.'.join((*place, key))}", rest
            yield f"{'.'.join((*place, key))} renamed", {**rest, f"{key}-two": value}
            if isinstance(value, dict) and len(place) < 2:
                for edit, inner in without(value, (*place, key)):
                    yield edit, {**data, key: inner}

    for edit, data in without(whole, ()):
        text = yaml.safe_dump(data, sort_keys=False)
        if not list(strict_yaml.validator("target").iter_errors(data)):
            yield edit, (data["environment"], text)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with production's target; returns the folder of its targets."""
    folder = tmp_path / "parameters" / "targets"
    folder.mkdir(parents=True)
    shutil.copy(TARGETS / f"{PRODUCTION}.yaml", folder)
    monkeypatch.setenv("OPSLIB_HOME", str(tmp_path))
    return folder


@pytest.fixture
def world(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(tmp_path_factory.mktemp("lab")) as world:
        yield world


def healthy(place: Place) -> list[Any]:
    """What production has, in short."""
    names = sorted(
        each["FunctionName"] for each in place.client("lambda").list_functions()["Functions"]
    )
    with place.database("bluemoxon_production") as database:
        rows = database.execute("SELECT count(*) FROM books").fetchone()
    return [names, rows, sorted(place.backend("s3").buckets)]


def test_a_target_with_a_single_edit_is_there_and_harms_no_other(
    world: World, project: Path, request: pytest.FixtureRequest
) -> None:
    """By its system's estate, else from its file alone.

    Each edit means a lab that is seeded anew: two of them, and with `--all` each key of the file.
    """
    before = healthy(world.place(PRODUCTION))
    edits = dict([*EDITS.items()][:2])
    if request.config.getoption("--all"):
        edits = {**EDITS, **dict(generated())}
    for edit, (environment, text) in edits.items():
        name = f"bluemoxon-{environment}"
        for left in project.glob("bluemoxon-[!p]*.yaml"):
            left.unlink()
        (project / f"{name}.yaml").write_text(text)
        world.reset()
        assert healthy(world.place(PRODUCTION)) == before, edit
        assert world.place(name).client("sts").get_caller_identity()["Account"] == "111122223333"
        if why := world.plain.get(name):
            assert f"parameters/targets/{name}.yaml" in why, edit
            assert not re.search(r"KeyError|Traceback|<", why), edit
        world.tick()


@pytest.mark.parametrize("system", ["aviary", "zoo"])
def test_of_two_targets_that_describe_the_same_things_one_is_there_and_whole(
    world: World, project: Path, system: str
) -> None:
    text = (project / f"{PRODUCTION}.yaml").read_text()
    (project / f"{system}-production.yaml").write_text(
        re.sub("(?m)^system: .*", f"system: {system}", text)
    )
    world.reset()
    for name in (every := {PRODUCTION, f"{system}-production"}):
        with suppress(UsageError):
            world.place(name)
    (there,) = every - world.skipped.keys()
    assert "AlreadyExists" in str(world.skipped)
    assert there.replace("-", "_") in world.postgres.databases()


def test_a_target_that_fits_nothing_is_left_out_and_said_to_be(world: World, project: Path) -> None:
    (project / "bluemoxon-staging.yaml").write_text(BROKEN)
    world.reset()
    healthy(world.place(PRODUCTION))
    with pytest.raises(UsageError, match="Target 'bluemoxon-staging' is not in the lab"):
        world.place("bluemoxon-staging")
    assert [each for each in world.postgres.databases() if "production" not in each] == []
    world.tick()


def test_a_call_to_its_account_says_why_until_the_file_is_mended(
    world: World, project: Path
) -> None:
    file = project / "bluemoxon-staging.yaml"
    file.write_text(BROKEN)
    world.reset()
    key, secret = credentials.credentials("111122223333", "operator")
    functions = boto3.client(
        "lambda",
        region_name="us-west-2",
        endpoint_url=world.url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    for _ in range(2):
        with pytest.raises(
            ClientError, match=r"bluemoxon-staging.yaml.*opslib lab reset"
        ) as refused:
            functions.list_functions()
        assert refused.value.response["Error"]["Code"] == "NotInTheLab"
    assert control.handle(world, "GET", "status", b"")[1].count(b"bluemoxon-staging.yaml") == 1
    file.write_text((TARGETS / "bluemoxon-staging.yaml").read_text())
    world.reset()
    assert functions.list_functions()["Functions"]


def test_reset_lists_the_targets_that_are_new_and_knows_them(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_LAB_DIR", str(tmp_path / "lab"))
    try:
        lab.up()
        text = (project / f"{PRODUCTION}.yaml").read_text()
        for old, new in (("system: bluemoxon", "system: shop"), ('account: "', 'account: "9')):
            text = text.replace(old, new, 1)
        text = re.sub(r'account: "9(\d{11})\d"', r'account: "9\1"', text)
        (project / "shop-production.yaml").write_text(text)
        reset = CliRunner().invoke(commands.lab, ["reset"], catch_exceptions=False)
        assert re.search(r"new\s+lab/shop-production", reset.stdout)
        found = lab.find()
        assert found is not None
        assert found.credentials("lab/shop-production")
        reset = CliRunner().invoke(commands.lab, ["reset"], catch_exceptions=False)
        assert not re.search(r"new\s+lab/", reset.stdout)
    finally:
        lab.down()
