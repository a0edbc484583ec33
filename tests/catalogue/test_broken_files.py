"""One broken file among several costs itself: the others are run, listed and named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from opslib.catalogue import procedures, runbooks
from opslib.cli import listings
from opslib.core import UsageError, strict_yaml
from opslib.records import reading
from tests.projects import TARGET, Project

BROKEN = {
    "latin-1": (b"title: B\nsystem: Caf\xe9\n", r":2: not UTF-8"),
    "empty": (b"", r":1: nothing is in it"),
    "only a comment": (b"# nothing\n", r":1: nothing is in it"),
    "a tab": (b"title: B\n\tsystem: x\n", r":2: not valid YAML"),
    "no such day": (b"title: 2026-13-45\nsystem: x\n", "not valid YAML"),
    "within itself": (b"title: &a [*a]\n", "not valid YAML"),
    "a list": (b"- title\n", ":1: "),
    "nul": (b"title: \0\n", "not valid YAML"),
    "a tab, told": (b"title: B\nqueues:\n\ta: {}\n", r":3: .*'\\t'; quote it, indent by spaces"),
    "a template": (b"title: B\nregion: {{ region }}\n", ":2: key within {}"),
    "a list as a key": (b"title: B\nqueues: {? [a] : {name: x}}\n", ":2: key within {}"),
    "a switch as a key": (
        b"title: B\nqueues:\n  on: {name: x}\n",
        ":3: key 'on' is no text: quote it",
    ),
    "a number as a key": (
        b"title: B\nqueues:\n  1: {name: x}\n",
        ":3: key '1' is no text: quote it",
    ),
    "no number": (
        b"title: B\ncosts: {daily_limit: .nan}\n",
        ":2: .nan is no text and no number to compare with",
    ),
    "no end": (
        b"title: B\ncosts: {daily_limit: 1.0e+400}\n",
        ":2: 1.0e.400 is no text and no number to compare",
    ),
    "anchors upon anchors": (
        b"a0: &a0 [x, x]\n"
        + b"".join(
            b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)
        ),
        "its anchors unfold to over 200,000 parts",
    ),
    "no day": (b'accepted: [{what: x, reason: y, until: "2027-02-31"}]\n', ":1: .*is not a 'date'"),
    "no expression": (b"erasure: {user: {ids: '[0-9'}}\n", ":1: .*is not a 'regex'"),
    "no statistic": (b"metrics: {m: {statistic: Median}}\n", ":1: .*'Median' does not match"),
    "no name of a queue": (b"queues: {q: {name: a b}}\n", ":1: .*'a b' does not match"),
    "a header with a key": (
        b"api: {headers: {X-Api-Key: k}}\n",
        ":1: .*'X-Api-Key' does not match",
    ),
}
SECRETS = {
    "of a mapping": b"profile: {aws_secret_access_key: wJalrXUtnFEMI}\n",
    "of a form": b"api: {token_secret: {value: wJalrXUtnFEMI}}\n",
    "of a list": b"database: {instance: [wJalrXUtnFEMI]}\n",
    "itself": b"database: {secret: 'postgresql://app:wJalrXUtnFEMI@db.internal/app'}\n",
    "in an address": b"api: {url: 'https://app:wJalrXUtnFEMI@api.example.com'}\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, name: str) -> None:
    content, told = BROKEN[name]
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=f"(?s)x.yaml.*{told}|x.yaml{told}"):
        strict_yaml.load(tmp_path / "x.yaml", "target")


@pytest.mark.parametrize("name", SECRETS)
def test_what_stands_where_a_name_should_is_not_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.yaml").write_bytes(SECRETS[name])
    with pytest.raises(UsageError, match=r"a mapping or list is not|…@.*does not match") as told:
        strict_yaml.load(tmp_path / "x.yaml", "target")
    assert "wJalrXUtnFEMI" not in str(told.value)


def test_a_folder_called_as_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(UsageError, match=r"Cannot read .*x\.yaml: Is a directory"):
        strict_yaml.load(tmp_path / "x.yaml", "target")


@pytest.mark.slow
def test_a_broken_target_is_its_own_line_and_the_others_are_run(project: Project) -> None:
    project.procedure("look", "from opslib.core.connections import targets\ntargets.load(target)")
    (project.home / "parameters/targets/bluemoxon-staging.yaml").write_bytes(b"title: Caf\xe9\n")
    done = project.command("run", "tests/look", "-t", "*")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "2 targets: 1 failed, 1 ok." in done.stdout
    assert "bluemoxon-staging.yaml:1: not UTF-8" in done.stdout
    ended = {record.target: record.outcome for record in reading.list_records()}
    assert ended == {"bluemoxon-staging": "failed", "bluemoxon-production": "ok"}


@pytest.mark.slow
def test_a_broken_target_alone_is_refused_before_anything_starts(project: Project) -> None:
    project.procedure("look", "1")
    (project.home / "parameters/targets/bluemoxon-staging.yaml").write_text("")
    done = project.command("run", "tests/look", "-t", TARGET)
    assert done.returncode == 2
    assert "bluemoxon-staging.yaml:1: nothing is in it" in done.stderr
    assert reading.list_records() == []


@pytest.fixture
def broken(project: Project) -> Project:
    """A project in which a runbook and a notebook cannot be read, and others can."""
    project.procedure("look", "1")
    project.procedure("strange", "1").write_text('{"cells": [3]}')
    folder = project.home / "parameters" / "runbooks"
    folder.mkdir()
    (folder / "broken.yaml").write_bytes(b"system: \xe9\n")
    entry = {"name": "look", "title": "Look", "procedure": "tests/look"}
    book = {"system": "shop", "title": "Shop", "sections": [{"title": "One", "entries": [entry]}]}
    (folder / "shop.yaml").write_text(json.dumps(book))
    return project


def test_a_broken_runbook_does_not_hide_the_nearest_names(broken: Project) -> None:
    with pytest.raises(UsageError, match="Did you mean 'tests/look'"):
        runbooks.find("tests/loook")
    with pytest.raises(UsageError, match=r"Did you mean.*'shop/look'"):
        runbooks.find("shp/look")
    with pytest.raises(UsageError, match=r"broken\.yaml:1: not UTF-8"):
        runbooks.find("broken/look")


def test_a_broken_notebook_is_told_as_what_it_is(broken: Project) -> None:
    with pytest.raises(UsageError, match=r"strange\.ipynb is not a readable notebook: TypeError"):
        runbooks.find("tests/strange")
    with pytest.raises(UsageError, match="strange"):
        procedures.list_procedures()


def test_a_runbook_that_is_no_yaml_is_told_by_the_list(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    book = project.home / "parameters" / "runbooks" / "shop.yaml"
    book.parent.mkdir(exist_ok=True)
    book.write_text("system: [shop\n")
    listings.procedures()
    assert f"{book}:1: not valid YAML" in capsys.readouterr().err


def test_the_list_goes_on_and_says_what_it_leaves_out(
    broken: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [row["name"] for row in listings.procedures()] == ["tests/look"]
    assert "strange.ipynb is not a readable notebook" in capsys.readouterr().err


def test_contents_are_made_of_the_others_and_say_what_is_broken(broken: Project) -> None:
    (broken.home / "README.md").write_text("# Here\n")
    command = [sys.executable, "-m", "opslib.catalogue.contents"]
    done = subprocess.run(command, cwd=broken.home, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("left out:") == 2
    assert "broken.yaml:1: not UTF-8" in done.stderr
    door = (broken.home / "notebooks" / "start.ipynb").read_text()
    assert "tests/look" in door
    assert "Shop" in door or "shop" in door
