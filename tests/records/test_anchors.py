"""The head of the chain, outside the reach of who writes records."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.core import OpsError, Refused
from opslib.records.chain import anchors, rebuilding
from tests.projects import Project
from tests.records.test_records import bucket
from tests.records.test_seals import change, problems, said

__all__ = ["bucket"]


@pytest.fixture
def s3(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of a server with a bucket that has Object Lock; records are on this disk."""
    from papermill.s3 import S3

    monkeypatch.delenv("OPSLIB_RECORDS")
    monkeypatch.setenv("OPSLIB_ANCHOR", "s3://locked/heads")
    client = S3().s3.meta.client
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    return client


@pytest.mark.slow
def test_an_anchor_cannot_be_removed_and_proves_a_chain_that_was_made_anew(
    project: Project, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first = project.run("short", "1")
    status, shown = said(capsys, "anchor")
    assert status == 0
    assert re.search(r"^1:[0-9a-f]{64}\nanchored: s3://locked/heads/head-0000000001, locked", shown)
    assert "was anchored already" in said(capsys, "anchor")[1]
    project.run("short")
    assert json.loads(said(capsys, "anchor", "--json")[1])["new"]
    status, shown = said(capsys, "verify")
    assert (status, "Compared with 2 anchors, the newest of number 2" in shown) == (0, True)

    versions = s3.list_object_versions(Bucket="locked")["Versions"]
    for each in versions:
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(Bucket="locked", Key=each["Key"], VersionId=each["VersionId"])
    for each in versions:  # it hides them, and `verify` looks at every version
        s3.delete_object(Bucket="locked", Key=each["Key"])
    assert problems() == ""
    (project.records / "index.sqlite").unlink()
    first.page.unlink()
    rebuilding.rebuild()
    assert "(head): the chain does not contain 2:" in problems()


def test_what_is_anchored_otherwise_is_told_and_not_written_over(project: Project, s3: Any) -> None:
    project.run("short", "1")
    anchors.anchor()
    change(project, "UPDATE records SET hash = 'f'", "UPDATE chain SET hash = 'f'")
    with pytest.raises(Refused, match="holds another head of number 1"):
        anchors.anchor()


def test_a_bucket_without_a_lock_is_no_place_for_an_anchor(
    project: Project, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match="The chain is empty"):
        anchors.anchor()
    project.run("short", "1")
    monkeypatch.setenv("OPSLIB_ANCHOR", f"s3://{bucket}")
    with pytest.raises(Refused, match=rf"{bucket} has no Object Lock.*Nothing was put"):
        anchors.anchor()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_anchors_that_cannot_be_read_prove_nothing(
    project: Project, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("short", "1")
    monkeypatch.setenv("OPSLIB_ANCHOR", "s3://nowhere")
    assert "(anchor): The anchors in s3://nowhere cannot be listed" in problems()
    with pytest.raises(OpsError, match="cannot be put"):
        anchors.anchor()
    s3.put_object(Bucket="locked", Key="heads/head-0000000009", Body=b"nonsense")
    monkeypatch.setenv("OPSLIB_ANCHOR", "s3://locked/heads")
    assert "(anchor): 'nonsense' is neither a head" in problems()
