"""A first target's file from what is in an account: how much of a hand-made one it finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from opslib import connect, discovery
from opslib.catalogue import described
from opslib.cli.commands import cli
from opslib.core import paths, strict_yaml
from opslib.core.connections import targets
from opslib.discovery.accounts import Account
from opslib.discovery.facts import about, draft
from opslib.reports import reports
from tests.conftest import PracticeLab

TARGET = "lab/bluemoxon-staging"
# What only people know: words for people, questions of their own, how another target is copied, and
# whether its requests are to be looked at, which Logs Insights bills.
WORDS = {"title", "purpose", "sql", "plot"}
OF_PEOPLE = {"sync", "queries", "requests", "severities"}


def facts_of(data: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each leaf as its place and value; what a file calls things in short is replaced by names."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from facts_of(value, (*place, str(key)))
    elif isinstance(data, list):
        for value in data:
            yield (*place, str(value))
    else:
        data = float(data) if type(data) is int else data
        yield (*place, f"{data:g}" if isinstance(data, float) else str(data))


def comparable(data: Any) -> Any:
    """The same with AWS's names in place of short ones of somebody's own."""
    names = {
        section: {key: each.get("name", key) for key, each in data.get(section, {}).items()}
        for section in ("functions", "services", "queues", "buckets")
    }
    made = {**data}
    for section, called in names.items():
        made[section] = {called[key]: each for key, each in data.get(section, {}).items()}
    for section, key, of in (("jobs", "function", "functions"), ("jobs", "queue", "queues")):
        made[section] = {
            each["table"]: {**each, key: names[of].get(each.get(key), each.get(key))}
            for each in made.get(section, {}).values()
        }
    made["orphans"] = {each["table"]: each for each in data.get("orphans", {}).values()}
    made["dashboards"] = list(data.get("dashboards", {}).values())
    made["metrics"] = {
        f"{each.get('metric')} {sorted(each.get('dimensions', {}).items())}": each
        for each in data.get("metrics", {}).values()
        if "metric" in each  # a share is somebody's own question
    }
    return made


def counted(name: str, made: Any) -> tuple[int, int, list[tuple[str, ...]]]:
    """Facts that were found, and all; those that were not."""
    by_hand = yaml.safe_load((paths.parameters() / "targets" / f"{name}.yaml").read_text())
    found = set(facts_of(comparable(made)))
    wanted = [
        fact
        for fact in facts_of(comparable(by_hand))
        if not (WORDS & {*fact[:-1]}) and not OF_PEOPLE & {*fact}
    ]
    lacking = [fact for fact in wanted if fact not in found]
    return len(wanted) - len(lacking), len(wanted), lacking


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("bluemoxon-staging", 0.85),
        ("loglineos-production", 0.85),
        ("image-caption-prod", 0.6),  # much of these two only people know
        ("ai-studio-production", 0.5),
    ],
)
def test_most_of_a_hand_made_file_is_found_and_the_daily_report_runs_on_it_at_once(
    lab: PracticeLab, name: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.reset()  # what other tests asked of it in vain is gone
    ops = connect(f"lab/{name}")
    made = yaml.safe_load(discovery.written(discovery.discover(ops)))
    found, every, lacking = counted(name, made)
    assert found / every >= share, lacking
    ops.target = targets.described(f"lab/{name}", made)
    report = reports.daily(ops)
    there = {*made} & {"metrics", "alarms", "functions", "database"}
    there |= {"health"} if "probes" in made["api"] else set()
    there |= {"functions"} if "services" in made else set()  # the part of what runs
    assert len(there) >= 3
    assert there <= {*report.parts}
    ours = "share of trouble"  # lines of the paths that discovery asked in vain
    ill = [each for each in report.findings if each.status != "ok"]
    assert [each for each in ill if not each.check.startswith(ours)] == []
    # and nothing is wrong in the file
    folder = tmp_path / "parameters" / "targets"
    folder.mkdir(parents=True)
    (tmp_path / "notebooks").symlink_to(paths.notebooks())
    monkeypatch.setenv("OPSLIB_HOME", str(tmp_path))
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(made))
    assert described.problems(name) == []


def test_what_is_denied_is_named_and_the_rest_goes_on(lab: PracticeLab, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    arguments = ["target", "discover", "-t", TARGET, "--no-data", "-o", str(file)]
    with lab.denied("sqs:ListQueues"), lab.denied("rds:DescribeDBClusters"):
        assert CliRunner().invoke(cli, arguments, catch_exceptions=False).exit_code == 0
    text = file.read_text()
    made = yaml.safe_load(text)
    assert "# ? Not known: queues: Denied" in text
    assert "# ? Not known: clusters: Denied" in text
    assert ("queues" in made, "database" in made, len(made["functions"])) == (False, False, 6)
    assert strict_yaml.wrong(strict_yaml.read(file), "target") == []
    again = CliRunner().invoke(cli, arguments)
    assert again.exit_code != 0
    assert "is there already" in str(again.exception)
    assert file.read_text() == text


def test_what_a_file_names_and_the_account_lacks_is_told(lab: PracticeLab) -> None:
    ops = connect(TARGET)
    assert list(discovery.absent(ops)) == []
    facts = ops.target.facts.plain()
    facts["queues"]["analysis"]["dead_letters"] = "gone"
    facts["secrets"]["never/was"] = {}
    ops.target = targets.described(TARGET, facts)
    with lab.denied("cloudwatch:DescribeAlarms"):
        lines = list(discovery.absent(ops))
    assert [line.split(" (")[0] for line in lines if "Not there" in line] == [
        "Not there, in 111122223333/us-west-2: gone",
        "Not there, in 111122223333/us-west-2: never/was",
    ]
    assert any("Not known" in line and "bluemoxon-staging-api-errors" in line for line in lines)


def test_names_of_several_environments_in_one_draft_are_told() -> None:
    def noted(*names: str) -> list[str]:
        things = {"functions": [{"name": name, "tags": {}} for name in names], "queues": []}
        head = {"system": "shop", "environment": "prod", "account": "1", "region": "eu-west-1"}
        notes = draft(Account(things), head).notes["title"]
        return [each for each in notes if "--prefix" in each]

    assert noted("shop-staging-api", "shop-prod-api", "shop-lib") == [
        "shop-prod-api and shop-staging-api are in one: discover each by a --prefix of its own"
    ]
    assert noted("shop-prod-api", "shop-production-test-results", "tools") == []


def test_a_name_of_route_53_that_leads_to_something_of_aws_is_drafted(lab: PracticeLab) -> None:
    ops = connect("lab/image-caption-prod")
    [balancer, *_] = ops.pages("elbv2", "describe_load_balancers", "LoadBalancers[].DNSName")
    given = {"Name": "example.org", "CallerReference": "discovered"}
    zone = ops.call("route53", "create_hosted_zone", **given)["HostedZone"]["Id"]
    leads = {"HostedZoneId": "Z1", "DNSName": f"{balancer}.", "EvaluateTargetHealth": False}
    address = {"TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    records = [
        {"Name": f"{host}.example.org", "Type": kind, **of}
        for host, kind, of in (
            ("captions", "A", {"AliasTarget": leads}),
            ("captions", "AAAA", {"AliasTarget": leads}),
            ("*", "A", {"AliasTarget": leads}),
            ("mail", "A", address),
        )
    ]
    changes = [{"Action": "CREATE", "ResourceRecordSet": each} for each in records]
    batch = {"HostedZoneId": zone, "ChangeBatch": {"Changes": changes}}
    ops.call("route53", "change_resource_record_sets", **batch)
    made = yaml.safe_load(discovery.written(discovery.discover(ops, data=False)))
    known = {"host": "captions.example.org", "zone": zone.rpartition("/")[2]}
    assert [*made["dns"].values()] == [known]


def test_a_search_domain_is_found_and_its_key_metrics(lab: PracticeLab) -> None:
    made = yaml.safe_load(discovery.written(discovery.discover(connect("lab/dms-dev"))))
    assert made["search"] == {"domain": "dms-search-dev"}
    measured = {each["metric"] for each in made["metrics"].values()}
    assert {"SearchLatency", "JVMMemoryPressure"} <= measured


def test_services_are_found_with_all_that_they_run_behind_and_the_cache(lab: PracticeLab) -> None:
    made = yaml.safe_load(
        discovery.written(discovery.discover(connect("lab/ai-studio-production")))
    )
    by_hand = yaml.safe_load((paths.parameters() / "targets/ai-studio-production.yaml").read_text())
    kept = {"family", "cpu_target"}  # a file need not say them
    of_people = {"purpose", "waits_for", "tasks"}
    for key, service in by_hand["services"].items():
        told = {name: value for name, value in service.items() if name not in of_people}
        found = {name: each for name, each in made["services"][key].items() if name != "tasks"}
        assert {*told.pop("variables")} == {*found.pop("variables")}
        assert {**told, **{name: found[name] for name in kept & found.keys()}} == found
    assert made["services"]["worker"]["tasks"] == 1  # nothing scales it
    assert made["cache"]["replication_group"] == "ai-studio-redis"
    assert made["cache"]["secret"] == "AI_STUDIO_REDIS_URL"
    assert not [name for name in made["alarms"]["expected"] if "TargetTracking" in name]
    assert "token_secret" not in made.get("api", {})  # OPENAI_API_KEY is no key of the own API
    assert {"AWS/ECS"} <= {each.get("namespace") for each in made["metrics"].values()}


def test_what_is_called_neither_test_nor_staging_is_drafted_as_production() -> None:
    for environment, production in (("eu", True), ("live", True), ("staging", False)):
        head = {"system": "shop", "environment": environment, "account": "1", "region": "eu-west-1"}
        made = draft(Account(), head).facts
        assert made["production"] is production
        assert made["policy"]["apply_at_once"] is not production


def test_a_table_is_drafted_with_its_keys_and_terraforms_lock_is_not(lab: PracticeLab) -> None:
    ops = connect("lab/image-caption-prod")
    known = ops.target["tables"]["captions"]
    lock = {"AttributeName": "LockID", "AttributeType": "S"}
    ops.call(
        "dynamodb",
        "create_table",
        TableName="terraform-locks",
        AttributeDefinitions=[lock],
        KeySchema=[{"AttributeName": "LockID", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        made = yaml.safe_load(discovery.written(discovery.discover(ops, data=False)))
    finally:
        ops.call("dynamodb", "delete_table", TableName="terraform-locks")
    assert [*made["tables"].values()] == [known.plain()]


def test_an_account_in_which_nothing_tells_is_taken_for_production() -> None:
    assert about(Account(), "", "") == ("system", "production")
