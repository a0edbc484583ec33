"""The report is made of the checks of the procedures: which of them it runs, and why not others."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import changes
from opslib.core.connections import targets
from opslib.core.connections.targets import Facts
from opslib.reports import changed
from opslib.reports import sections as reported
from tests import rooms

PERSON = "it wants what only a person knows: a user, a pattern, an item, a statement"
DEPLOYMENT = "it looks at one plan or release, when there is one"
MAINTENANCE = "of a planned maintenance alone"
DURING = "it is of an incident that is open"
AFTERWARDS = "it looks back at an incident, when there was one"
RECOVERY = "it is of a recovery that is under way"
NOT_DAILY = {
    "buckets.check_copies": "it lists every object of two buckets",
    "buckets.check_orphans": "it lists every object: minutes, and thousands of calls",
    "buckets.check_erasure": PERSON,
    "buckets.check_past": PERSON,
    "buckets.check_room": "check_quotas by the way of what is uploaded",
    "buckets.check_written": PERSON,
    "caches.check_clients": "who is connected at this moment, which caches.check_cache counts",
    "caches.check_keys": "it looks at every key, by many commands",
    "changes.check_timeline": "it shows what was done, and judges nothing",
    "databases.check_insert": PERSON,
    "databases.check_query": PERSON,
    "databases.check_rows": PERSON,
    "databases.check_size": "of an instance: state and what waits are check_status's too",
    "databases.check_statement": PERSON,
    "deployments.check_changes": DEPLOYMENT,
    "deployments.check_file": DEPLOYMENT,
    "deployments.check_releases": DEPLOYMENT,
    "deployments.check_reverted": DEPLOYMENT,
    "tables.check_endings": "it reads items of the table, for money",
    "functions.check_memory": "as functions.check_capacity",
    "functions.check_capacity": "Insights reads every line of a day, of every function, for money",
    "functions.check_latency": "it explains what check_metrics and check_functions find slow",
    "functions.check_variables": PERSON,
    "functions.check_versions": "for versions of the window only, from its own check_deployments",
    "health.check_request": PERSON,
    "jobs.check_oversized": "it explains jobs that check_jobs names, by all their images",
    "jobs.check_worker": "lines to be read, which pass or fail nothing",
    "logs.check_concurrency": "it explains throttles that check_functions counts",
    "logs.check_kinds": "it explains the lines that check_errors counts",
    "logs.check_lines": PERSON,
    "logs.check_query": PERSON,
    "logs.check_throttling": "it explains throttles that check_functions counts",
    "mail.check_address": PERSON,
    "metrics.check_dashboard": "pictures for people; what is judged of them, check_metrics judges",
    "metrics.check_metric": PERSON,
    "network.check_paths": "its deep request is check_dependencies', its shallow one a probe's",
    "secrets.check_tokens": "it signs tokens and sends them to the API: for a rotation",
    "queues.check_letters": "it receives messages, which counts as a receive of each",
    "recovery.check_bucket_points": "it lists every object of two buckets",
    "recovery.check_clock": RECOVERY,
    "recovery.check_elsewhere": "it is as the account was built: recovery/readiness leads to it",
    "recovery.check_name": RECOVERY,
    "recovery.check_region": "it is asked when nothing answers any more",
    "recovery.check_rehearsal": "of months: who never rehearsed would read it each day",
    "reports.check_fresh": MAINTENANCE,
    "reports.check_standing": MAINTENANCE,
    "reports.check_versions": MAINTENANCE,
    "reports.check_well": "the report itself, by area",
    "reports.check_happened": AFTERWARDS,
    "reports.check_impact": AFTERWARDS,
    "reports.check_response": AFTERWARDS,
    "reports.check_options": DURING,
    "reports.check_phases": DURING,
    "reports.check_watch": DURING,
    "services.check_image": PERSON,
    "services.check_quiet": "of checks that are in the report, for one service",
    "deployments.check_ways_back": "of checks that are in the report",
    "users.check_sign_in": PERSON,
    "workflows.check_item": PERSON,
    "reports.check_symptom": "of a person's words",
    "reports.check_severity": "what the file says; its verdict names the level",
    "users.check_synced": "it lists every user; who never signed in need not be known",
}


def asked() -> Iterator[str]:
    """Every check that a notebook calls, as it calls it."""
    for path in sorted((rooms.ROOT / "notebooks").glob("*/*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] != "code":
                continue
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    name = ast.unparse(node.func)
                    if node.func.attr.startswith("check_"):
                        yield name


def plain(look: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(look, partial):
        look = look.func
    return look


def sections(target: str) -> list[tuple[str, Callable[..., Any]]]:
    described = targets.load(target)
    return reported.checks(SimpleNamespace(target=described), 24)  # type: ignore[arg-type]


TARGETS = targets.names()


@pytest.fixture(scope="module")
def made() -> set[Callable[..., Any]]:
    return {plain(look) for target in TARGETS for _, look in sections(target)}


def test_a_check_of_a_procedure_is_in_the_report_or_named_with_the_reason_why_not(
    made: set[Callable[..., Any]],
) -> None:
    called = set(asked())
    assert len(called) > 30, "the notebooks are walked"
    missing = []
    for name in sorted(called - NOT_DAILY.keys()):
        chapter, verb = name.split(".")
        if getattr(importlib.import_module(f"opslib.{chapter}"), verb) not in made:
            missing.append(name)
    assert missing == []


def test_what_is_left_out_is_asked_by_a_procedure_and_is_left_out(
    made: set[Callable[..., Any]],
) -> None:
    for name, reason in NOT_DAILY.items():
        chapter, verb = name.split(".")
        check = getattr(importlib.import_module(f"opslib.{chapter}"), verb)
        assert reason, name
        assert check not in made, name
    assert NOT_DAILY.keys() <= set(asked())


@pytest.mark.parametrize("target", TARGETS)
def test_every_section_is_shown_by_the_notebook(target: str) -> None:
    text = (rooms.ROOT / "notebooks/reports/daily.ipynb").read_text()
    missing = {name for name, _ in sections(target) if f'(\\"{name}\\")' not in text}
    assert {name for name in missing if f'[\\"{name}\\"]' not in text} == set()


def test_each_check_of_the_table_is_there_and_takes_what_it_is_given() -> None:
    window = {"hours": 24.0, "minutes": 1440.0, "days": 1.0}
    for row in reported.rows():
        # as if the file had all of it: one name, with what is asked of it
        found = {row["where"]: {"name": {row.get("having", "name"): ""}}}
        looks = [*reported.looks(row | {"where": f'"{row["where"]}"'}, found, window)]
        assert len(looks) == len(row["checks"]), row
        for look in looks:
            assert isinstance(look, partial)
            inspect.signature(look.func).bind("ops", *look.args, **look.keywords)


def test_a_check_for_each_name_is_made_for_those_that_have_what_it_needs() -> None:
    row = {"where": "a", "each": "service", "having": "b", "checks": ["services.check_latency"]}
    looks = reported.looks(row, {"a": {"one": {"b": 1}, "two": {}}}, {})
    assert [look.keywords for look in looks if isinstance(look, partial)] == [{"service": "one"}]


def test_an_instance_has_storage_to_look_at_and_a_cluster_has_none() -> None:
    from opslib import databases

    looks = {target: [plain(look) for _, look in sections(target)] for target in TARGETS}
    assert databases.check_storage in looks["loglineos-production"]
    assert databases.check_storage not in looks["bluemoxon-staging"]


def test_configuration_is_remembered_where_the_file_names_a_resource_and_not_asked_else() -> None:
    site = {"api": {"url": "https://example.com", "probes": {"/": "it runs"}}}
    for facts, asked in ((site, False), (site | {"queues": {"mail": {"name": "mail"}}}, True)):
        known = Facts(facts, "a file")
        described = SimpleNamespace(
            facts=known, key="site", get=lambda key, known=known: known.get(key, {})
        )
        every = reported.checks(SimpleNamespace(target=described), 24)  # type: ignore[arg-type]
        looks = {plain(look) for _, look in every}
        assert changed.check_changes in looks
        assert ("configuration" in dict(every)) is asked
        assert (changes.check_recent in looks) is asked
