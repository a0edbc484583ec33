"""Secrets in disguise: forms x places. Whatever was done to a value, it is not readable."""

from __future__ import annotations

import base64
import html
import json
import pprint
import re
import textwrap
import urllib.parse
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
import yaml

from opslib.core import Refused
from opslib.core.plans.plans import short
from opslib.core.redaction import Redactor, is_masked, mask, register_typed
from opslib.core.redaction import redactor as common
from opslib.core.tables import html_frame, html_table
from opslib.core.text import cut
from opslib.functions.environments import _refuse_name

VALUES = {
    "plain": "Wq7hunterZ2kitten",
    "awkward": """a<b>&c'd"e\\f/g+h$i%j é ü""",
    "padded": "  s3same-0pen!  \n",
    "dollars": "$Tr0ub4dor$&3",
    "slashes": "wJalrXUtnFEMI/K7MDENG/bPxRfiCY",
}
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "stripped": str.strip,
    "html": html.escape,
    "html without quotes": lambda v: html.escape(v, quote=False),
    "json": json.dumps,
    "json, not ascii": lambda v: json.dumps(v, ensure_ascii=False),
    "json in json": lambda v: json.dumps({"body": json.dumps({"v": v})}),
    "json in json in json": lambda v: json.dumps(json.dumps(json.dumps(v))),
    "repr": repr,
    "repr in a tuple in a repr": lambda v: repr(str((v, 1))),
    "bytes": lambda v: repr(v.encode()) if v.isascii() else repr(v),
    "quote": urllib.parse.quote,
    "quote, all": lambda v: urllib.parse.quote(v, safe=""),
    "quote_plus": urllib.parse.quote_plus,
    "query": lambda v: urllib.parse.urlencode({"x": v}),
    "lower-case escapes": lambda v: re.sub("%..", lambda hit: hit[0].lower(), quote(v)),
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 after one byte": lambda v: base64.b64encode(b"x" + v.encode()).decode(),
    "base64 after two bytes": lambda v: base64.b64encode(b"xy" + v.encode()).decode(),
    "base64 for URLs": lambda v: base64.urlsafe_b64encode(b"?" + v.encode()).decode(),
    "basic": lambda v: "Basic " + base64.b64encode(f"app:{v}".encode()).decode(),
    "hex": lambda v: v.encode().hex(),
    "sql": lambda v: v.replace("'", "''"),
    "json as html": lambda v: html.escape(json.dumps(v)),
    "json of Go": lambda v: re.sub("[<>&]", lambda hit: f"\\u{ord(hit[0]):04x}", json.dumps(v)),
    "json in json in json in json": lambda v: json.dumps(json.dumps(json.dumps(json.dumps(v)))),
    "html of html": lambda v: html.escape(html.escape(v)),
    "html in json": lambda v: json.dumps(html.escape(v)),
    "xml": lambda v: html.escape(v).replace("&#x27;", "&apos;").replace("+", "&#43;"),
    "numbers in html": lambda v: v.encode("ascii", "xmlcharrefreplace").decode(),
    "json in a query": lambda v: urllib.parse.urlencode({"x": json.dumps({"v": v})}),
    "quote twice": lambda v: quote(quote(v, safe=""), safe=""),
    "every character quoted": lambda v: "".join(f"%{byte:02X}" for byte in v.encode()),
    "every character escaped": lambda v: '"' + "".join(f"\\u{ord(c):04x}" for c in v),
    "every byte escaped": lambda v: "".join(f"\\x{byte:02x}" for byte in v.encode()),
    "yaml": lambda v: yaml.safe_dump({"x": v}, width=10_000),
    "csv": lambda v: '"' + v.replace('"', '""') + '"',
    "shell": lambda v: "$'" + v.replace("\\", "\\\\").replace("'", "\\'") + "'",
    "a pattern": re.escape,
    "repr of json": lambda v: repr(json.dumps({"v": v})),
    "ascii": ascii,
    "added up": lambda v: f"'{v[:6]}' + '{v[6:]}'",
    "coloured": lambda v: f"{v[:5]}\x1b[1;31m{v[5:9]}\x1b[0m{v[9:]}",
    "with marks": lambda v: f"{v[:6]}<em>{v[6:]}</em>",
    "base32": lambda v: base64.b32encode(v.encode()).decode(),
    "base32 after three bytes": lambda v: base64.b32encode(b"xyz" + v.encode()).decode(),
    "a dump in hex": lambda v: v.encode().hex(" "),
    "hex of a fingerprint": lambda v: v.encode().hex(":").upper(),
    "a Buffer of Node in JSON": lambda v: json.dumps({"type": "Buffer", "data": [*v.encode()]}),
    "with a link of a terminal": lambda v: f"{v[:6]}\x1b]8;;http://x\x1b\\{v[6:]}\x1b]8;;\x1b\\",
    "with room to break": lambda v: f"{v[:6]}\u200b{v[6:]}",
}
PLACES: dict[str, Callable[[str], str]] = {
    "alone": str,
    "in a sentence": lambda t: f"It was {t}, they said.",
    "in a traceback": lambda t: f"ValueError: bad login\n  at connect({t})\nTraceback",
    "broken over lines": lambda t: f"x: {t[:7]}\n    {t[7:]}\n",
    "cut": lambda t: f"x: {t[:-3]}…" if len(t) > 14 else t,
    "cut with dots": lambda t: f"x: {t[:-3]}..." if len(t) > 14 else t,
    "cut and said": lambda t: f"x: {t[:-3]} [truncated]" if len(t) > 14 else t,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", VALUES)
def test_a_secret_is_masked_in_every_form_and_place(name: str, form: str, place: str) -> None:
    value, redactor = VALUES[name], Redactor()
    redactor.register(value, "db")
    made = FORMS[form](value)
    masked = redactor.mask(PLACES[place](made))
    core = FORMS[form](value.strip())
    middle = core[len(core) // 2 - 3 : len(core) // 2 + 3]
    assert middle in made or name == "padded"  # what is looked for would be found
    assert middle not in masked.replace("\n    ", "")
    assert "[" in masked


PEM = "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n".format(
    "\n".join(textwrap.wrap("MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY" * 3, 64))
)
WHOLE: list[tuple[Any, str]] = [  # a secret, and what of it may not be read
    ("postgresql://app:Corr3ct%2Fhorse@db:5432/books", "Corr3ct%2Fhorse"),
    ("postgresql://app:Corr3ct%2Fhorse@db:5432/books", "Corr3ct/horse"),
    ("redis://:Corr3cthorse@cache:6379/0", "Corr3cthorse"),
    ("host=db password='two w0rds' dbname=x", "two w0rds"),
    ("Server=db;Pwd=Corr3cthorse;Database=x", "Corr3cthorse"),
    ("https://Corr3ct0123456789abcdef@o1.ingest.sentry.io/2", "Corr3ct0123456789abcdef"),
    ("https://api.example.com/hook?token=Corr3cthorse", "Corr3cthorse"),
    (PEM, PEM.splitlines()[2]),
    ('{"password": "Corr3cthorse", "host": "db"}', "Corr3cthorse"),
    ('{"nested": [{"api": {"k": "Corr3cthorse"}}]}', "Corr3cthorse"),
    ('{"pin": 48151623}', "48151623"),
    ({"pin": 48151623}, "48151623"),
    (b"\x00\xffbinary\x80secret", base64.b64encode(b"\x00\xffbinary\x80secret").decode()),
    (b"Corr3cthorse", "Corr3cthorse"),
    ("export DB_PASSWORD='Corr3cthorse'\nexport LOG=info\n", "Corr3cthorse"),
]


@pytest.mark.parametrize(("secret", "part"), WHOLE)
def test_a_part_of_a_secret_that_is_one_by_itself_is_masked(secret: Any, part: str) -> None:
    redactor = Redactor()
    redactor.register(secret, "db")
    assert part not in redactor.mask(f"login with {part} failed")
    assert part not in redactor.mask(json.dumps({"said": f"({part})"}))


def test_of_a_database_only_the_password_is_masked() -> None:
    redactor = Redactor()
    redactor.register(
        '{"host": "db.internal", "username": "bookkeeper", "password": "Corr3c7"}', ""
    )
    text = "bookkeeper at db.internal"
    assert redactor.mask(text) == text


def test_what_says_where_and_when_is_read_on() -> None:
    """A secret's JSON names the database, its bucket and its day beside the password."""
    redactor = Redactor()
    about = {"DB_NAME": "orders", "DB_USER": "bookshop", "bucketName": "shop-covers"}
    about |= {"app_region": "us-west-2", "rotated": "2026-11-28", "at": "2026-11-28T10:00:00Z"}
    secret = {**about, "DB_PASSWORD": "Corr3ct-h0rse", "passport": "L01X00T47"}
    redactor.register(json.dumps(secret), "db")
    text = "orders of bookshop in shop-covers, us-west-2, 2026-11-28 at 2026-11-28T10:00:00Z"
    assert redactor.mask(text) == text
    assert redactor.mask(json.dumps(secret)) != json.dumps(secret)
    assert redactor.mask("Corr3ct-h0rse L01X00T47").count("[secret") == 2


def test_a_number_is_masked_as_a_number_only() -> None:
    redactor = Redactor()
    redactor.register({"pin": 481516}, "door")
    assert redactor.mask("1481516 and 4815162") == "1481516 and 4815162"
    assert redactor.mask("pin 481516.") == "pin [secret door:pin]."
    assert redactor.mask_tree({"n": 481516, "m": 48}) == {"n": "[secret door:pin]", "m": 48}


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("x7#k", "login x7#k failed", "login [secret db:pin] failed"),
        ("x7#k", "x7#kk and ax7#k", "x7#kk and ax7#k"),
        ("ruby", "ruby is a stone; pin: ruby", "ruby is a stone; pin: [secret db:pin]"),
        ("4711", '4711 lines, {"pin": "4711"}', '4711 lines, {"pin": "[secret db:pin]"}'),
    ],
)
def test_a_short_value_is_masked_as_a_word_or_beside_its_name(
    value: str, text: str, expected: str
) -> None:
    redactor = Redactor()
    redactor.register({"pin": value}, "db")
    assert redactor.mask(text) == expected


HIDDEN = "Corr3ct-h0rse"
SHAPES = [
    f"redis://:{HIDDEN}@cache:6379/0",
    f"amqps://user:{HIDDEN}@mq.example.com/vhost",
    f"mongodb+srv://u:{HIDDEN}/x@cluster0.example.net/?retryWrites=true",
    f"jdbc:mysql://root:{HIDDEN}@db/x",
    f"redis://:p@{HIDDEN}@cache",
    json.dumps([{"name": "DB_PASSWORD", "value": HIDDEN}]),
    json.dumps(json.dumps([{"name": "SENTRY_DSN", "value": HIDDEN}])),
    json.dumps([{"value": HIDDEN, "type": "", "name": "auth.password"}]),
    json.dumps({"Key": "api_token", "Value": HIDDEN}),
    repr([{"name": "DB_PASSWORD", "value": HIDDEN}]),
    f'set {{\n  name  = "auth.password"\n  value = "{HIDDEN}"\n}}',
    json.dumps({"password": f'a "quoted" {HIDDEN}'}),
    json.dumps({"x": json.dumps({"password": f'a "quoted" {HIDDEN}'})}),
    json.dumps({"STRIPE_TOKEN": HIDDEN}),
    f"export GITHUB_TOKEN={HIDDEN}",
    f"PGPASSWORD={HIDDEN} psql",
    f"mysql --password {HIDDEN} -h db",
    f"ALTER USER app WITH PASSWORD '{HIDDEN}'",
    f"<password>{HIDDEN}</password>",
    f"the password is '{HIDDEN}' for app",
    f"curl -u admin:{HIDDEN} -s https://x.example.com",
    f"curl --user 'admin:{HIDDEN}' https://x.example.com",
    "AKIAIOSFODNN7EXAMPLE and wJalrXUtnFEMI/K7MDENG/bPxRfi0123456789ab",
    f"pwd={HIDDEN}; x",
    f"dsn: {HIDDEN}",
    f"'SecretAccessKey': '{HIDDEN}'",
    f"Set-Cookie: session={HIDDEN}; Path=/",
    f"Authorization: Token {HIDDEN}",
    base64.b64encode(f"#!/bin/sh\nexport DB_PASSWORD={HIDDEN}\n".encode()).decode(),
    "Basic " + base64.b64encode(f"https://u:{HIDDEN}@h.example.com/".encode()).decode(),
    "said\\nghp_0123456789abcdefghijABCDEFGHIJ012345",
    "xoxb-123456789012-abcdefghijkl",
    "key\\nAKIAIOSFODNN7EXAMPLE",
    f"mysql -h db -u root -p{HIDDEN} shop",
    f"redis-cli -h cache -a {HIDDEN} ping",
    f"sshpass -p '{HIDDEN}' ssh host",
    f"docker login -u app -p {HIDDEN} registry.example.com",
    f"echo {HIDDEN} | docker login -u AWS --password-stdin registry.example.com",
    f'echo "root:{HIDDEN}" | chpasswd',
    f"aws configure set aws_secret_access_key {HIDDEN}",
    f"aws ssm put-parameter --name /shop/db --value {HIDDEN} --type SecureString",
    f"aws rds modify-db-instance --master-user-password {HIDDEN}",
    f"kubectl create secret generic shop --from-literal=db={HIDDEN}",
    json.dumps({"command": ["--db-password", HIDDEN]}),
    f"requirepass {HIDDEN}",
    f"CREATE USER app IDENTIFIED WITH mysql_native_password BY '{HIDDEN}'",
    f"SET PASSWORD FOR 'app'@'%' = PASSWORD('{HIDDEN}')",
    f'<entry key="db.password">{HIDDEN}</entry>',
    f"X-Vault-Token: {HIDDEN}",
    f"webhook_secret={HIDDEN}",
    f"secret_key_base: {HIDDEN}",
    f"jdbc:oracle:thin:app/{HIDDEN}@db:1521/x",
    f"https://discord.com/api/webhooks/123456789012345678/{HIDDEN}",
    '{"set-cookie": ["sid=Corr3ct-h0rse; Path=/"]}',
    "token=Corr3cth0rseBatteryStaple",
    '{"secret": "Corr3cth0rseBatteryStaple"}',
    json.dumps({"variable_name": "DB_PASSWORD", "value": HIDDEN}),
    json.dumps({"name": "/shop/db/password", "insecure_value": HIDDEN}),
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\\nCorr3ct\\n-----END PGP PRIVATE KEY BLOCK-----",
    base64.b64encode(zlib.compress(f"export DB_PASSWORD={HIDDEN} ".encode())).decode(),
    f"db.example.com:5432:books:app:{HIDDEN}",
    f"*:*:*:postgres:{HIDDEN}",
    "_auth=Corr3cth0rseBatteryStaple",
    json.dumps({"auths": {"x": {"auth": base64.b64encode(b"app:Corr3ct-h0rse-B").decode()}}}),
    "ya29.a0AfH6SMBxCorr3cth0rse0123456789abc",
    "GOCSPX-Corr3cth0rse0123456789abc",
    "abc8Q~Corr3cth0rse0123456789abcdefghijkl",
    "glrt-Corr3cth0rse0123456789abc",
    *(f"{kind}_Corr3cth0rse0123456789abc" for kind in ("hf", "shpat", "glsa", "figd", "sntrys")),
    *(f"{kind}-Corr3cth0rse0123456789abc" for kind in ("pul", "PMAK", "key")),
    "AGE-SECRET-KEY-1CORR3CTH0RSE0123456789abcQ7XT2VB9NM4CL6WY1SD5GH8",
    "https://Corr3cth0rseBatteryStaple@github.com/x/y.git",
    f"curl -H 'Authorization: {HIDDEN}' https://x.example.com",
    f"curl -b 'sid={HIDDEN}' https://x.example.com",
    f"ldapsearch -x -D cn=admin -w {HIDDEN} -b dc=x",
    f"mongosh -u app -p {HIDDEN} host",
    f"openssl rsa -passin pass:{HIDDEN}",
    f"zip -P {HIDDEN} a.zip b",
    f"AUTH default {HIDDEN}",
    f"vault login {HIDDEN}",
    f"ALTER USER app PASSWORD $${HIDDEN}$$",
    f"ALTER USER app PASSWORD E'{HIDDEN}'",
    f"select crypt('{HIDDEN}', gen_salt('bf'))",
    f"select pgp_sym_decrypt(x, '{HIDDEN}')",
    f"password: |\n  {HIDDEN}\n",
    f"<ns:password>{HIDDEN}</ns:password>",
    f"<key>password</key><string>{HIDDEN}</string>",
    f"level=info user=a pass={HIDDEN} msg=x",
    json.dumps({"pass": HIDDEN}),
    json.dumps({"pw": HIDDEN}),
    json.dumps({"db_password_prod": HIDDEN}),
    f"ansible_ssh_pass={HIDDEN}",
    f"the password is {HIDDEN} now",
    f"Passwort: {HIDDEN}",
    f"contraseña: {HIDDEN}",
    f"app.secret_key = b'{HIDDEN}'",
    f"kubectl --token={HIDDEN} get pods",
    f"npm config set //registry.npmjs.org/:_authToken {HIDDEN}",
    f'oauth_token_secret="{HIDDEN}"',
    "config/master.key: 0123456789abcdef0123456789abcdef",
    f"the passphrase is {HIDDEN} now",
    f"rabbitmqctl add_user shop {HIDDEN}",
    f"rabbitmqctl change_password shop {HIDDEN}",
    f"htpasswd -b /etc/passwd shop {HIDDEN}",
    f"rclone config create r s3 secret_access_key {HIDDEN}",
    f"lftp -u shop,{HIDDEN} files.example.com",
    f"PRAGMA key = '{HIDDEN}'",
    f"ACL SETUSER shop on >{HIDDEN} ~* +@all",
    f"HELLO 3 AUTH shop {HIDDEN}",
    "https://storage.googleapis.com/b/o?X-Goog-Signature=0123456789abcdef0123456789abcdef",
]


@pytest.mark.parametrize("text", SHAPES)
def test_a_credential_of_a_known_shape_is_masked(text: str) -> None:
    for shown in (text, f"before {text} after", json.dumps({"log": text})):
        masked = Redactor().mask(shown)
        assert "[" in masked
        assert masked != shown
        assert not [p for p in ("h0rse", "Corr3ct", "0123456789abc", "IOSFODNN") if p in masked]
        assert Redactor().mask(masked) == masked


ORDINARY = [
    "kiosk-prod-checkout-errors: critical; helpdesk-production-handler",
    "disk-usage-above-threshold-production of task-processing-worker-queue",
    "The password was changed; a token expires in 3,600 s. Keys: 12, secrets: 4.",
    "secret: bluemoxon-staging/database",
    "NextToken: abcdefghijklmnop",
    "https://example.com:8443/path@x and http://localhost:8000/a?key=books/1.json",
    "GET /items?cursor=abc&limit=10 200 in 12.3 ms",
    '{"name": "LOG_LEVEL", "value": "DEBUG-all"}',
    '{"Key": "Name", "Value": "bookshop-api"}',
    '[{"name": "DATABASE_SECRET_ARN", "value": "arn:aws:secretsmanager:us-west-2:1:secret:db"}]',
    '{"name": "SECRET_NAME", "value": "bookshop/database"}',
    "TOKEN_TTL_SECONDS=3600000",
    "mysql -h db -P 3306 -u root -p shop",
    "docker run --name mysql -p3306:3306 mysql:8",
    "docker login -u app registry.example.com; redis-cli -p 6379 ping; echo yes | sort",
    "echo $PW | docker login --password-stdin",
    'command: ["--port", "8080"], --token-file /run/t, the token: none of ours',
    "secret=bookshop-staging/database-1 and token bucket 12",
    '{"metric_name": "Invocations", "value": "12345678"}',
    "docker run -u 1000:1000 -v /a:/b image",
    "key of commit 2c7a34ad01f4ce9d1a0a9ea6c0a3f3b3bd0a8c11 -u unit.service",
    "PWD=/var/task and pwd: /home/app",
    "SELECT password_hash, token_id FROM users WHERE key = 'abc'",
    "passwords: 3 of 4 are older than 90 days",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "/aws/lambda/bookshop-production-api/2026/11/26/stream-with-a-long-name",
    "a basic authentication, a bearer of news",
    "user@example.com wrote to: ops@example.com",
    "aws:cloudformation:stack-name ... and so on…",
    "kubectl --token-file=/run/t get pods, --secret-id shop/db, PRAGMA foreign_keys = on",
    "rabbitmqctl list_users; acl setuser is a command, htpasswd -c f shop, the passphrase is long",
    "the password is at least 12 characters; password: required; api_key: invalid",
    "pass: 12345678 of 12345679, first_pass=2025-11-28, login_pass_rate: 0.98765432",
    "authorization=enabled, Authorization: none, 'authorization': 'COGNITO_USER_POOLS'",
    "arn:aws:rds:*:123456789012:db:shop and arn:aws:iam::123456789012:policy/*:*:x:y",
    "db:5432/books, 10.0.0.1:5432, 12:54:33:foo:bar and crypt(password, 'bf')",
    "https://deploy-bot-for-production-2@github.com/x/y.git, curl -b cookies.txt https://x",
    "key-management-service-2024-review and hf_model_names_are_long_here, secret_key: {type: x}",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    redactor = Redactor()
    redactor.register({"password": VALUES["plain"], "flag": "true", "n": 1, "who": "abc"}, "db")
    assert redactor.mask(text) == text
    assert redactor.mask_tree({"key": text, "token_count": 3}) == {"key": text, "token_count": 3}


def test_an_objects_secrets_are_masked_by_their_names() -> None:
    said = Redactor().mask_tree(
        {
            "environment": [{"name": "REDIS_DSN", "value": "abc"}, {"name": "MODE", "value": "x"}],
            "master_password": "abc",
            "Tags": [{"Key": "Api-Token", "Value": "abc"}],
            "NextToken": "abc",
            "password": None,
            "primary_key": "id",
        }
    )
    assert said == {
        "environment": [
            {"name": "REDIS_DSN", "value": "[secret REDIS_DSN]"},
            {"name": "MODE", "value": "x"},
        ],
        "master_password": "[secret master_password]",
        "Tags": [{"Key": "Api-Token", "Value": "[secret Api-Token]"}],
        "NextToken": "abc",
        "password": None,
        "primary_key": "id",
    }


SHORTENERS: dict[str, Callable[[str], str]] = {
    "short": short,
    "short of an object": lambda text: short({"x": [text]}),
    "cut": lambda text: cut(text, 100),
    "a table of findings": lambda text: html_table(["seen"], [[text]], ""),
    "a table of rows": lambda text: html_frame(pd.DataFrame({"message": [text]})),
    "pretty print": lambda text: mask(pprint.pformat([text], width=20)),
}


@pytest.mark.parametrize("shortener", SHORTENERS)
@pytest.mark.parametrize("before", [60, 85, 95, 100, 103, 110, 112, 280, 285, 290, 293])
def test_what_is_shortened_was_masked_before(shortener: str, before: int) -> None:
    common.register("Zyx&wvu'tsrq-0987", "cut")
    shown = SHORTENERS[shortener]("x" * before + " Zyx&wvu'tsrq-0987 " + "y" * 300)
    assert "Zyx" not in shown
    assert "tsrq" not in shown


def test_what_was_typed_as_a_secret_is_masked_though_its_use_is_refused() -> None:
    typed = {
        "function": "api",
        "name": "SMTP_PASSWORD",
        "value": "Typed-0nce",
        "db_password": "zq9-x",
    }
    register_typed({**typed, "days": 3})
    assert "Typed-0nce" not in mask("Failed: Typed-0nce is refused")
    with pytest.raises(Refused):
        _refuse_name("API_TOKEN", "An0ther-typed")
    assert "An0ther" not in mask("ValueError: An0ther-typed")
    assert mask("api") == "api"


def test_what_was_masked_is_known_to_be() -> None:
    for text in ("a [secret db:password] b", "redis://:[password]@h", "[private key]"):
        assert is_masked(text)
    assert not is_masked("[1, 2] and [secretly]")
