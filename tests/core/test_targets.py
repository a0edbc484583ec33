"""Targets and runbooks: YAML that is wrong is refused with its file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from opslib.catalogue import runbooks
from opslib.core import redaction, strict_yaml
from opslib.core.connections import targets
from opslib.core.errors import UsageError, unknown_name

TARGET = """title: Shop staging
system: shop
environment: staging
production: false
account: "012345678901"
region: eu-west-1
functions:
  api: {name: shop-api, timeout_seconds: 30}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parameters" / "targets").mkdir(parents=True)
    (tmp_path / "parameters" / "runbooks").mkdir()
    (tmp_path / "notebooks").symlink_to(Path(__file__).resolve().parents[2] / "notebooks")
    monkeypatch.setenv("OPSLIB_HOME", str(tmp_path))
    return tmp_path


def write(home: Path, text: str, name: str = "shop-staging") -> None:
    (home / "parameters" / "targets" / f"{name}.yaml").write_text(text)


def refusal(name: str = "shop-staging") -> str:
    with pytest.raises(UsageError) as refused:
        targets.load(name)
    return str(refused.value)


def test_a_sixth_system_is_one_yaml_file(home: Path) -> None:
    write(home, TARGET)
    target = targets.load("shop-staging")
    assert (target.account, target.lab, target["functions"]["api"]["name"]) == (
        "012345678901",
        False,
        "shop-api",
    )


def test_a_merged_key_is_overridden_and_one_that_stands_twice_is_refused(home: Path) -> None:
    merged = "  web: &web {name: w, timeout_seconds: 3}\n  job: {<<: *web, name: j}\n"
    write(home, TARGET + merged)
    assert targets.load("shop-staging")["functions"]["job"].plain() == {
        "name": "j",
        "timeout_seconds": 3,
    }
    write(home, TARGET + "region: us-east-1\n")
    assert "9: key 'region' stands twice" in refusal().replace("shop-staging.yaml:", "")


def test_the_name_decides_that_the_lab_is_meant(home: Path) -> None:
    write(home, TARGET)
    target = targets.load("lab/shop-staging")
    assert (target.lab, target.key, target.may_apply_at_once) == (True, "shop-staging", True)


def test_an_unknown_target_offers_the_nearest(home: Path) -> None:
    write(home, TARGET)
    assert "Did you mean 'shop-staging'" in refusal("shop-stagin")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "timeout_seconds",
            "timout_seconds",
            8,
            "functions.api.timout_seconds: is an unknown key; did you mean 'timeout_seconds'?",
        ),
        ('"012345678901"', "012345670", 5, "is not a string: quote it"),
        ("region: eu-west-1", "region: Ireland", 6, "[0-9]+$' (Where its resources are: eu-west-1"),
        (
            "production: false",
            "production: maybe",
            4,
            "production: 'maybe' is not of type 'boolean'",
        ),
        ("region: eu-west-1\n", "", 1, "'region' is a required property (Where its resources"),
        ("system: shop", "system: shop\nsystem: shoe", 3, "key 'system' stands twice"),
        ("title: Shop staging", "title: [Shop", 2, "not valid YAML"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    home: Path, old: str, new: str, line: int, message: str
) -> None:
    write(home, TARGET.replace(old, new))
    said = refusal()
    assert f"shop-staging.yaml:{line}:" in said
    assert message in said


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ("services: {a: {cluster: c, name: 'arn:aws:ecs:eu-west-1:1:service/a'}}", "a.name"),
        ("services: {a: {cluster: 'arn:aws:ecs:eu-west-1:1:cluster/c', name: a}}", "a.cluster"),
        ("services: {a: {cluster: c, name: '${PREFIX}-a'}}", "services.a.name"),
        ("database: {instance: 'arn:aws:rds:eu-west-1:1:db:shop'}", "database.instance"),
        ("database: {cluster: '{{ env }}-shop'}", "database.cluster"),
        ("workflows: {a: {name: 'arn:aws:states:eu-west-1:1:stateMachine:a'}}", "workflows.a.name"),
        ("cache: {replication_group: redis.example.com}", "cache.replication_group"),
        ("search: {domain: 'https://shop.es.amazonaws.com'}", "search.domain"),
        ("api: {url: 'https://shop.example', probes: {healthz: it runs}}", "api.probes"),
        ("api: {url: 'https://shop.example', deep: healthz}", "api.deep"),
    ],
)
def test_what_is_no_name_of_a_thing_or_no_path_is_refused(
    home: Path, section: str, place: str
) -> None:
    write(home, f"{TARGET}{section}\n")
    said = refusal()
    assert "shop-staging.yaml:9:" in said
    assert f"{place}: " in said
    assert "does not match" in said


def test_what_is_said_of_a_secret_in_a_file_is_not_masked_with_it(home: Path) -> None:
    write(home, TARGET + "database: {secret: shop/db, password: hunter22}\n")
    said = redaction.mask(refusal())
    assert "database.password: is an unknown key; known: " in said
    assert "hunter22" not in said


def test_an_empty_file_is_refused(home: Path) -> None:
    write(home, "")
    assert "shop-staging.yaml:1:" in refusal()


def test_a_file_named_after_another_target_is_refused(home: Path) -> None:
    write(home, TARGET, "shop-production")
    assert "describes shop-staging" in refusal("shop-production")


def test_a_fact_that_is_not_described_names_the_file_and_the_nearest(home: Path) -> None:
    write(home, TARGET)
    with pytest.raises(
        UsageError,
        match=r"Unknown functions 'apo' in parameters/targets/shop-staging.yaml. Did you mean "
        r"'api'",
    ):
        targets.load("shop-staging")["functions"]["apo"]


@pytest.mark.parametrize("name", targets.names())
def test_every_described_target_loads(name: str) -> None:
    target = targets.load(name)
    assert target.production == (target.environment in ("production", "prod"))


@pytest.mark.parametrize("name", ["approved", "confirm", "target", "agree", "accept"])
def test_a_runbook_that_would_approve_for_whoever_runs_it_is_refused_with_its_line(
    home: Path, name: str
) -> None:
    (home / "parameters" / "runbooks" / "shop.yaml").write_text(
        "system: shop\ntitle: Shop\nsections:\n- title: One\n  entries:\n"
        "  - name: back\n    title: Back\n    procedure: functions/rollback\n"
        f"    parameters:\n      function: api\n      {name}: now\n"
    )
    for load in (lambda: runbooks.entries("shop"), lambda: runbooks.find("shop/back")):
        with pytest.raises(UsageError, match=rf"shop\.yaml:11: .*parameters\.{name}: is not set"):
            load()


ENTRY = "  - {name: x, title: X, procedure: reports/daily}\n"


@pytest.mark.parametrize(
    ("system", "entries", "told"), [("shop", ENTRY * 2, "entry 'x' stands twice")]
)
def test_a_runbook_of_which_nobody_knows_what_is_meant_is_refused(
    home: Path, system: str, entries: str, told: str
) -> None:
    book = f"system: {system}\ntitle: Shop\nsections:\n- title: One\n  entries:\n{entries}"
    (home / "parameters" / "runbooks" / "shop.yaml").write_text(book)
    for load in (lambda: runbooks.entries("shop"), lambda: runbooks.find("shop/x")):
        with pytest.raises(UsageError, match=rf"shop\.yaml: {told}"):
            load()


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("services: {a: {cluster: c, name: a, port: 1:30}}", "1:30 is no text and no number"),
        ("services: {a: {cluster: c, name: a, port: 01750}}", "01750 is no text"),
        ("services: {a: {cluster: c, name: a, port: 0x1F90}}", "0x1F90 is no text"),
        ("metrics: {a: {warn: 12345678901234567890}}", "12345678901234567890 is no text"),
        (
            "database: {migrate: {function: a, payload: {day: 2027-01-31}}}",
            "timestamp is no text and no number",
        ),
        (
            "database: {migrate: {function: a, payload: {day: !!binary aGk=}}}",
            "binary is no text and no number",
        ),
        ("database: {migrate: {function: a, payload: !!set {a}}}", "set is no text and no number"),
        ("api: {url: 'https://shop.example/v1?key=1'}", "does not match"),
        ("logs: {groups: ['arn:aws:logs:eu-west-1:1:log-group:/x:*']}", "does not match"),
        ("alarms: {patterns: [], expected: {'arn:aws:cloudwatch:x': y}}", "does not match"),
        ("certificates: {'https://shop.example': {min_days: 9}}", "does not match"),
    ],
)
def test_what_would_mean_something_else_than_it_says_is_refused_with_its_line(
    home: Path, section: str, told: str
) -> None:
    write(home, f"{TARGET}{section}\n")
    assert re.search(rf"shop-staging\.yaml:9: .*{told}", refusal())


@pytest.mark.parametrize(
    "number", ["8_080", "-3", "+3", "0", "1.5e+9", ".5", "0.07", "999999999999999"]
)
def test_a_number_as_people_write_it_is_taken(home: Path, number: str) -> None:
    write(home, f"{TARGET}database: {{migrate: {{function: a, payload: {{n: {number}}}}}}}\n")
    assert targets.load("shop-staging")["database"]["migrate"]["payload"]["n"] == float(number)


def test_a_runbook_entry_with_a_wrong_parameter_is_refused(home: Path) -> None:
    book = {
        "system": "shop",
        "title": "Shop",
        "sections": [
            {
                "title": "Emergency",
                "entries": [
                    {
                        "name": "rollback",
                        "title": "Roll back",
                        "procedure": "functions/rollback",
                        "parameters": {"too": "3"},
                    }
                ],
            }
        ],
    }
    (home / "parameters" / "runbooks" / "shop.yaml").write_text(yaml.safe_dump(book))
    with pytest.raises(
        UsageError,
        match=r"runbooks/shop.yaml: entry 'rollback': Unknown parameter 'too'.*Did you mean 'to'",
    ):
        runbooks.entries("shop")


def test_of_many_names_the_nearest_are_offered_and_how_many_there_are() -> None:
    known = [f"drill-{number}" for number in range(90)]
    said = str(unknown_name("drill", "nosuch", known))
    assert said.startswith("Unknown drill 'nosuch'. There are 90, the nearest: drill-")
    assert said.count("drill-") == 5


def test_an_end_that_is_missing_is_missed_in_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("system: [x\n")
    with pytest.raises(UsageError, match=r"one\.yaml:1: not valid YAML"):
        strict_yaml.read(path)


def test_an_unknown_name_offers_procedures_and_entries() -> None:
    with pytest.raises(UsageError, match="functions/rollback"):
        runbooks.find("functions/rolback")


@pytest.mark.parametrize("system", runbooks.systems())
def test_every_entry_of_every_runbook_fits_its_procedure(system: str) -> None:
    assert runbooks.entries(system)


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_lines(home: Path) -> None:
    write(
        home,
        TARGET.replace('"012345678901"', "12").replace("timeout_seconds", "timout_seconds")
        + "database:\n  port: 0\n  migrations_head: {path: /version, feild: head}\n  name: 7\n"
        "queues: {a: {nam: x, name: y, kind: z}}\n",
    )
    lines = refusal().splitlines()
    assert [line.rsplit("shop-staging.yaml:", 1)[1].split(": ")[:2] for line in lines] == [
        ["5", "account"],
        ["8", "functions.api.timout_seconds"],
        ["10", "database.port"],
        ["11", "database.migrations_head.feild"],
        ["11", "database.migrations_head"],
        ["12", "database.name"],
        ["13", "queues.a.kind"],
        ["13", "queues.a.nam"],
    ]
    assert "did you mean 'field'" in lines[3]
    assert "'field' is a required property" in lines[4]


@pytest.mark.parametrize(
    "region",
    ["us-gov-west-1", "cn-northwest-1", "eusc-de-east-1", "us-isob-east-1", "mx-central-1"],
)
def test_the_regions_of_every_partition_are_taken(home: Path, region: str) -> None:
    write(home, TARGET.replace("eu-west-1", region))
    assert targets.load("shop-staging").region == region


def test_every_key_of_a_targets_file_is_described() -> None:
    bare = [
        ".".join(place) for place, of in strict_yaml.keys("target") if not of.get("description")
    ]
    assert bare == []
