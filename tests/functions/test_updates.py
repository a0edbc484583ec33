"""New code goes live as it was shown, is watched, and is pointed back when it does worse."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from opslib import OpsError, Refused, UsageError, apply, changes
from opslib.core.actions.watching.versions import Served
from opslib.core.reads.functions import Function
from opslib.functions import updates
from opslib.functions.configurations import settled
from opslib.functions.updates import plan_update
from opslib.records import reading

KEY, NAME = "list-documents", "dms-list-documents-dev"
AT = {"FunctionName": NAME}


TARGET = "lab/dms-dev"


@pytest.fixture
def ops(fresh: Any) -> Any:
    return fresh


def live(ops: Any) -> str:
    return str(ops.call("lambda", "get_alias", Name="live", **AT)["FunctionVersion"])


@pytest.fixture
def artefact(ops: Any) -> tuple[str, str]:
    """A zip in the bucket: its address, and its hash as Lambda writes it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.js"), "// new\n")
    at = {"Bucket": "dms-documents-dev", "Key": "code/list.zip"}
    ops.change("s3", "put_object", Body=data.getvalue(), **at)
    digest = base64.b64encode(hashlib.sha256(data.getvalue()).digest()).decode()
    return f"s3://{at['Bucket']}/{at['Key']}", digest


@pytest.fixture
def asked(ops: Any) -> Iterator[None]:
    """Somebody asks the API all the time."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            ops.http("GET", "/documents")

    asking = threading.Thread(target=ask)
    asking.start()
    yield
    over.set()
    asking.join()


@pytest.mark.slow
def test_code_goes_live_with_its_hash_and_undo_points_back(
    ops: Any, artefact: tuple[str, str], asked: None
) -> None:
    code, digest = artefact
    before, latest = live(ops), ops.call("lambda", "get_function_configuration", **AT)
    plan = plan_update(ops, KEY, code, digest, "git 1234567", 2)
    now = ops.call("lambda", "get_function_configuration", **AT)
    assert (live(ops), now["CodeSha256"]) == (before, latest["CodeSha256"])  # a preview
    apply(ops, plan, plan.id)
    new = ops.call("lambda", "get_function_configuration", Qualifier="live", **AT)
    assert (new["CodeSha256"], new["Description"]) == (digest, "git 1234567")
    assert new["Version"] != before
    assert [(f.status, f.seen) for f in ops.findings][-1] == ("ok", f"now {new['Version']}")
    record = reading.list_records()[0].id
    ops.change("lambda", "update_alias", Name="live", FunctionVersion="1", **AT)
    with pytest.raises(Refused, match=f"now 1, no longer {new['Version']} as it left it"):
        changes.plan_undo(ops, record)
    ops.change("lambda", "update_alias", Name="live", FunctionVersion=new["Version"], **AT)
    apply(ops, changes.plan_undo(ops, record), "now")
    assert live(ops) == before


@pytest.mark.slow
def test_a_version_that_cannot_start_is_pointed_back_by_the_plan(ops: Any, asked: None) -> None:
    before = live(ops)
    ops.change("lambda", "update_function_configuration", Handler="index.handlr", **AT)
    settled(Function(ops, KEY))
    plan = plan_update(ops, KEY, watch_seconds=20)
    assert "Handler: index.handler to index.handlr" in repr(plan)
    with pytest.raises(OpsError, match=f"The alias was pointed back to version {before}"):
        apply(ops, plan, plan.id)
    assert live(ops) == before


@pytest.mark.slow
def test_what_cannot_go_well_is_refused_before_anything_is_changed(
    ops: Any, artefact: tuple[str, str]
) -> None:
    before, code = live(ops), artefact[0]
    with pytest.raises(UsageError, match="neither s3://bucket/key"):
        plan_update(ops, KEY, "build/list.zip")
    with pytest.raises(OpsError, match="NoSuchKey"):
        plan_update(ops, KEY, f"{code}.old")
    with pytest.raises(Refused, match="not AAAA"):
        plan_update(ops, KEY, sha256="AAAA")
    with pytest.raises(Refused, match="has no alias"):
        plan_update(ops, "migrations")
    assert not plan_update(ops, KEY).steps
    assert live(ops) == before


@pytest.mark.slow
def test_another_hash_than_was_said_is_not_published(ops: Any, artefact: tuple[str, str]) -> None:
    before = live(ops)
    plan = plan_update(ops, KEY, artefact[0], "AAAA", watch_seconds=1)
    with pytest.raises(OpsError, match="CodeSHA256"):
        apply(ops, plan, plan.id)
    assert live(ops) == before


@pytest.mark.parametrize(
    ("now", "before", "why"),
    [
        (Served(100, 0, 80), Served(100, 0, 80), ""),
        (Served(100, 2, 80), Served(100, 0, 80), ""),  # two may be chance
        (Served(100, 3, 80), Served(100, 0, 80), "more than 1 in 100"),
        (Served(100, 12, 80), Served(100, 8, 80), ""),  # it was no better before
        (Served(0, 3, 0), Served(100, 0, 80), "more than 1 in 100"),  # it cannot even start
        (Served(40, 0, 900), Served(100, 0, 80), "slower than 360 ms"),
        (Served(10, 0, 900), Served(100, 0, 80), ""),  # its first requests start it
        (Served(0, 0, 0), Served(100, 0, 80), ""),
    ],
)
def test_worse_is_more_failures_or_much_slower_than_before(
    now: Served, before: Served, why: str
) -> None:
    assert now.worse(before) == why


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("s3://b/a/k.zip", {"S3Bucket": "b", "S3Key": "a/k.zip"}),
        ("s3://b/k?versionId=7", {"S3Bucket": "b", "S3Key": "k", "S3ObjectVersion": "7"}),
        ("1" * 12 + ".dkr.ecr.eu-west-1.amazonaws.com/a@sha256:0", "ImageUri"),
        ("", {}),
    ],
)
def test_code_is_named_as_lambda_takes_it(code: str, given: Any) -> None:
    found = updates._code(code)
    assert found == given or list(found) == [given]
