"""The form in which a configuration is kept and compared."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from opslib.changes import forms
from opslib.changes.change import Change
from opslib.changes.forms import Difference, Forms, Same
from opslib.core import redaction

FORMS = Forms(b"a key of 32 bytes, for this test")
OTHER = Forms(b"another one, of another machine.")
LATER = datetime(2026, 11, 26, tzinfo=UTC)


def different(was: Any, now: Any, same: Same | None = None) -> list[Difference]:
    return FORMS.differences(FORMS.text(FORMS.normal(was)), FORMS.normal(now), same or Same())


@pytest.mark.parametrize(
    ("was", "now"),
    [
        pytest.param({"a": [1, 2]}, {"a": [2, 1]}, id="the order of a list"),
        pytest.param(
            {"CreatedTimestamp": "1795661177.3"},
            {"CreatedTimestamp": "1795661199.1"},
            id="a time in a text",
        ),
        pytest.param(
            {"creationTime": 1795661177344},
            {"creationTime": 1795661999344},
            id="a time as a number",
        ),
        pytest.param(
            {"LastModified": "2026-11-23T01:47:40.000+0000"},
            {"LastModified": "yesterday"},
            id="when it was modified",
        ),
        pytest.param({"Anything": LATER}, {}, id="a moment"),
        pytest.param(
            {"ApproximateNumberOfMessages": "0"},
            {"ApproximateNumberOfMessages": "7"},
            id="a counter",
        ),
        pytest.param(
            {"DBInstanceStatus": "available"},
            {"DBInstanceStatus": "backing-up"},
            id="a state that passes",
        ),
        pytest.param({"State": "Enabling"}, {"State": "Enabled"}, id="on its way to a setting"),
        pytest.param(
            {"StateValue": "OK", "StateReason": "1"},
            {"StateValue": "ALARM", "StateReason": "2"},
            id="an alarm that rings",
        ),
        pytest.param(
            {"Policy": '{"b": 1, "a": [2, 3]}'},
            {"Policy": '{ "a": [3, 2], "b": 1}'},
            id="JSON, written otherwise",
        ),
        pytest.param(
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]},
            {"Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]},
            id="tags in another order",
        ),
        pytest.param({"a": "[unread]"}, {"a": {"b": 1}}, id="what could not be read"),
    ],
)
def test_what_is_no_setting_is_no_difference(was: Any, now: Any) -> None:
    assert different(was, now) == []


def test_a_setting_is_named_by_its_path_through_names_and_documents() -> None:
    was = {
        "RedrivePolicy": '{"maxReceiveCount": 3}',
        "Tags": [{"Key": "a", "Value": "1"}],
        "Status": "Enabled",
    }
    now = {
        "RedrivePolicy": '{"maxReceiveCount": 1}',
        "Tags": [{"Key": "a", "Value": "2"}],
        "Status": "Suspended",
    }
    assert different(was, now) == [
        ("RedrivePolicy.maxReceiveCount", 3, 1),
        ("Status", "enabled", "suspended"),
        ("Tags.a", "1", "2"),
    ]


def test_of_a_set_only_what_came_and_went_is_told() -> None:
    was = {"Rules": [{"FromPort": 443, "To": []}, {"FromPort": 22, "To": []}]}
    now = {"Rules": [{"FromPort": 443, "To": []}, {"FromPort": 80, "To": []}]}
    [found] = different(was, now)
    assert found == ("Rules", [{"FromPort": 22, "To": []}], [{"FromPort": 80, "To": []}])


def test_a_long_value_is_compared_to_its_end() -> None:
    text = "x" * 100_000
    assert different({"a": text}, {"a": text}) == []
    assert different({"a": f"{text}1"}, {"a": f"{text}2"}) != []
    assert len(FORMS.text(FORMS.normal({"a": text}))) < 100


@pytest.mark.parametrize("key", ["PIN", "LOG_LEVEL", "DB_PASSWORD"])
def test_a_variable_is_compared_and_neither_kept_nor_to_be_guessed(key: str) -> None:
    def of(value: str) -> Any:
        return {"Environment": {"Variables": {key: value}}}

    kept = FORMS.text(FORMS.normal(of("4711")))
    assert "4711" not in kept
    assert kept != OTHER.text(OTHER.normal(of("4711")))  # who guesses needs the key
    assert redaction.mask(kept) == kept  # and it is not masked once more where it is kept
    assert different(of("4711"), of("4711")) == []
    [found] = different(of("4711"), of("4712"))
    assert found.path == f"Environment.Variables.{key}"
    assert "471" not in str(found)


def test_with_another_key_hidden_values_say_nothing_and_names_do() -> None:
    was = OTHER.text(OTHER.normal({"Environment": {"Variables": {"A": "1", "B": "2"}}}))
    now = FORMS.normal({"Environment": {"Variables": {"A": "9"}}})
    found = FORMS.differences(was, now, Same(key=False))
    assert [each.path for each in found] == ["Environment.Variables.B"]


def test_a_value_that_was_learnt_to_be_secret_since_is_still_the_same() -> None:
    was = FORMS.text(FORMS.normal({"Description": "zeppelin-9 answers"}))
    redaction.register("zeppelin-9", "of a test")
    assert FORMS.differences(was, FORMS.normal({"Description": "zeppelin-9 answers"}), Same()) == []
    masked = json.loads(redaction.mask(json.dumps({"Description": "zeppelin-9 answers"})))
    now = FORMS.normal({"Description": "zeppelin-9 answers"})
    assert FORMS.differences(json.dumps(masked), now, Same()) == []


def test_what_another_table_or_sdk_did_not_ask_for_is_not_new() -> None:
    asked_less = Same(table=False)
    assert different({"a": 1}, {"a": 1, "b": 2}, asked_less) == []
    assert [d.path for d in different({"a": 1}, {"a": 2, "b": 2}, asked_less)] == ["a"]


def test_a_deletion_that_is_planned_is_a_setting() -> None:
    assert [d.path for d in different({}, {"DeletedDate": LATER})] == ["DeletedDate"]


def test_the_key_is_one_of_this_user_and_stays(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPSLIB_PRIVATE", str(tmp_path / "private"))
    first = forms.own_key()
    assert len(first) == 32
    assert forms.own_key() == first
    file = tmp_path / "private" / "configuration.key"
    assert file.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("OPSLIB_PRIVATE", "/dev/null/nowhere")
    assert forms.own_key() == b""


def test_without_a_key_hidden_values_are_not_compared() -> None:
    none = Forms()
    kept = none.text(none.normal({"Environment": {"A": "1"}}))
    assert "[hidden]" in kept
    now = none.normal({"Environment": {"A": "2"}})
    assert none.differences(kept, now, Same()) == []


def test_of_long_values_what_is_different_is_shown_and_no_half_a_secret() -> None:
    before = "SELECT a,\n  b FROM " + "x" * 300
    redaction.register("hunter2-hunter2", "db/password")
    was = f"{before} WHERE pw = 'hunter2-hunter2' AND tenant = 1"
    now = f"{before} WHERE pw = 'hunter2-hunter2' AND tenant = 2 OR " + "y" * 300
    at, key = "2026-11-20T06:00:00+00:00", ("database table", "v")
    change = Change(key, Difference("definition", was, now), at, at, "", "warn", "", "", "")
    shown = f"{change.told} {change.row()}"
    assert "tenant = 1" in shown
    assert "tenant = 2 OR" in shown
    assert "hunter2" not in shown
    assert change.told_of == "at 11-20 06:00"
