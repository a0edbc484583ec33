"""Secrets.

A value read as one is masked wherever it turns up, and so is what looks like a credential.
"""

from __future__ import annotations

import json

import pytest

from opslib.core.redaction import Redactor, names_a_secret


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made.register({"password": 'p4ss"w/rd+1', "short": "abc", "flag": "true"}, "db")
    return made


def test_a_registered_value_is_masked_and_named(redactor: Redactor) -> None:
    assert redactor.mask('login with p4ss"w/rd+1 now') == "login with [secret db:password] now"


def test_escaped_forms_of_a_value_are_masked_too(redactor: Redactor) -> None:
    assert "p4ss" not in redactor.mask(json.dumps({"v": 'p4ss"w/rd+1'}))
    assert "p4ss" not in redactor.mask("postgresql://u:p4ss%22w%2Frd%2B1@h/db")


@pytest.mark.parametrize("value", ["q8Z-not-yet-known", "7Fq2"], ids=["long", "short"])
def test_a_text_that_was_shown_before_its_value_was_known_is_masked_after(
    redactor: Redactor, value: str
) -> None:
    text = f"it says {value} here"
    assert redactor.mask(text) == text
    redactor.register(value, "later")
    assert redactor.mask(text) == "it says [secret later] here"


def test_short_and_ordinary_values_are_left_alone(redactor: Redactor) -> None:
    assert redactor.mask("abc is true") == "abc is true"


def test_a_longer_value_wins_over_one_inside_it(redactor: Redactor) -> None:
    redactor.register("token-123", "short")
    redactor.register("token-123-and-more", "long")
    assert redactor.mask("token-123-and-more") == "[secret long]"


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "Authorization: Bearer abcdef0123456789",
        "postgresql://app:hunter2hunter2@db:5432/books",
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=0123456789abcdef&x=1",
        '{"db_password": "correct-horse-battery"}',
        "API_KEY=correct-horse-battery",
        "-----BEGIN RSA PRIVATE KEY-----\ncorrect-horse-battery\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_known_shapes_of_credentials_are_masked(text: str) -> None:
    masked = Redactor().mask(text)
    for part in ("AKIAIOSF", "dozjgNry", "abcdef0123456789", "hunter2", "correct-horse"):
        assert part not in masked
    assert "[" in masked


@pytest.mark.parametrize(
    "text",
    [
        "secret: bluemoxon-staging/database",
        "NextToken: abcdefghijklmnop",
        "arn:aws:iam::111122223333:user/operator",
        "https://example.com:8443/path@x",
    ],
)
def test_what_is_no_credential_stays_readable(text: str) -> None:
    assert Redactor().mask(text) == text


@pytest.mark.parametrize("name", ["KeyError", "KeyboardInterrupt", "TokenRetrievalError"])
def test_what_an_error_says_is_no_secret_for_what_the_error_is_called(name: str) -> None:
    said = {"ename": name, "evalue": "'BEDROCK_MODEL' is missing", "traceback": [name]}
    assert Redactor().mask_tree(said) == said
    secret = {"ename": name, "evalue": "postgresql://app:hunter22hunter@db/shop"}
    assert "hunter22" not in str(Redactor().mask_tree(secret))


def test_trees_are_masked_to_the_leaves_and_images_left_whole(redactor: Redactor) -> None:
    redactor.register("iVBORw0KGgo", "image")
    tree = {
        "outputs": [{"data": {"text/plain": ['p4ss"w/rd+1'], "image/png": "iVBORw0KGgo"}}],
        "n": 3,
    }
    assert redactor.mask_tree(tree) == {
        "outputs": [{"data": {"text/plain": ["[secret db:password]"], "image/png": "iVBORw0KGgo"}}],
        "n": 3,
    }


@pytest.mark.parametrize(
    "name",
    [
        "EBAY_CLIENT_SECRET",
        "DB_PASSWORD",
        "github_token",
        "X-Api-Key",
        "GOOGLE_CREDENTIALS",
        "DATABASE_URL",
        "SENTRY_DSN",
        "Cookie",
        "Authorization",
        "X-Auth",
        "BASIC_AUTH",
    ],
)
def test_a_variable_or_a_header_that_sounds_secret_is_one(name: str) -> None:
    assert names_a_secret(name, "some-value")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_SECRET_ARN", "arn:aws:secretsmanager:us-west-2:111122223333:secret:db"),
        ("LOG_LEVEL", "INFO"),
        ("AUTH_ENABLED", "true"),
        ("AUTHOR", "ana"),
        ("X-User-Id", "ana"),
        ("MAX_TOKENS", "4096"),
        ("TokensUsed", "1,204.5"),
        ("token_count", "15000000"),
    ],
)
def test_what_only_names_a_secret_or_sounds_like_none_is_shown(name: str, value: str) -> None:
    assert not names_a_secret(name, value)


def test_a_picture_in_html_stays_whole_and_what_is_beside_it_is_masked() -> None:
    redactor = Redactor()
    redactor.register("QUJDRUZHSElKSw", "db:password")
    image = f"data:image/png;base64,{'A' * 1100}QUJDRUZHSElKSw{'A' * 1100}="
    said = redactor.mask(f'<img alt="QUJDRUZHSElKSw" src="{image}"> QUJDRUZHSElKSw')
    assert said == f'<img alt="[secret db:password]" src="{image}"> [secret db:password]'
