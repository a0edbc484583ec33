"""How fast, as ratios against what people use today, both sides in one run: ./run bench

Single times on a shared machine mean little; each pair is run in turn and the median ratio is what
counts.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import boto3
import psutil
import yaml

from opslib import apply, buckets, connect, lab
from opslib.catalogue import runbooks
from opslib.core import paths, window
from opslib.core.connections import targets
from opslib.core.errors import UsageError
from opslib.core.reads import metrics
from opslib.core.reads.stores.objects import items_of, list_objects, list_versions
from opslib.records import facts as runs_facts
from opslib.records import reading, records
from opslib.records.chain import database
from opslib.records.texts import words
from opslib.runs import runs
from tests.clusters import Cluster

TARGET = "lab/bluemoxon-staging"
BIN = Path(sys.executable).parent
MANY = 20
DELAY_MS = 30  # a call to AWS from an office
CAPTIONS = "lab/image-caption-prod"
RECORDS = 10_000
KEYS, THINGS, FEW = 20_000, 2_000, 20  # FEW: of what is done one by one, so many are timed
USER = "be1c0000-0000-4000-8000-00000000000b"


def main() -> None:
    parts = {
        "run": procedure_against_papermill,
        "reports": reports_of_every_target,
        "batch": many_against_papermill,
        "workers": reports_by_workers,
        "metrics": page_of_metrics,
        "thousands": thousands,
        "records": many_records,
    }
    parser = argparse.ArgumentParser("./run bench", description=__doc__.split("\n")[0])
    parser.add_argument("part", nargs="*", help=f"{', '.join(parts)}; all of them: 15 minutes")
    asked = parser.parse_args().part
    if unknown := [*set(asked) - set(parts)]:
        parser.error(f"no part {unknown[0]!r}: {', '.join(parts)}")
    folder = Path(tempfile.mkdtemp(prefix="opslib-bench-"))
    os.environ |= {"OPSLIB_LAB_DIR": str(folder / "lab"), "OPSLIB_RECORDS": str(folder / "records")}
    lab.up()
    try:
        print(
            "compared (A against B), B being what people use today",
            "A seconds",
            "B seconds",
            "A/B",
            sep="\t",
        )
        for name in asked or parts:
            parts[name](folder)
    finally:
        lab.down()
        shutil.rmtree(folder, ignore_errors=True)


def procedure_against_papermill(folder: Path) -> None:
    notebook = paths.notebooks() / "queues" / "dead-letters.ipynb"
    ours = [str(BIN / "opslib"), "run", "queues/dead-letters", "-t", TARGET]
    theirs = [
        str(BIN / "papermill"),
        str(notebook),
        str(folder / "out.ipynb"),
        "-p",
        "target",
        TARGET,
    ]
    report(
        "opslib run / papermill, the same notebook",
        lambda: command(ours),
        lambda: command(theirs),
        rounds=7,
    )


def reports_of_every_target(folder: Path) -> None:
    names = [f"lab/{name}" for name in targets.names()]
    notebook = str(paths.notebooks() / "reports" / "daily.ipynb")
    ours = [str(BIN / "opslib"), "report", "daily", "-t", "lab/*"]

    def one_after_another() -> None:
        for name in names:
            command(
                [str(BIN / "papermill"), notebook, str(folder / "out.ipynb"), "-p", "target", name]
            )

    report(
        f"opslib report daily of {len(names)} targets / papermill, one after another",
        lambda: command(ours),
        one_after_another,
        rounds=5,
    )


def many_against_papermill(folder: Path) -> None:
    """The first entries of a runbook that only look,
    but for the one that follows a log and so waits.
    """
    looks = [
        e
        for e in runbooks.entries("bluemoxon")
        if e.effect == "read" and e.procedure != "logs/follow"
    ]
    names = [entry.name for entry in looks if known_to_run(entry.name)][:MANY]
    ours = [str(BIN / "opslib"), "run", *names, "-t", TARGET]
    memory = memory_of(ours)

    def one_after_another() -> None:
        for name in names:
            procedure, wanted = runs.prepare(name, TARGET, {}, apply=False)
            given = ["-y", yaml.safe_dump(wanted)]
            command(
                [str(BIN / "papermill"), str(procedure.path), str(folder / "out.ipynb"), *given]
            )

    what = f"{len(names)} procedures in one opslib run / papermill, one after another"
    report(what, lambda: command(ours), one_after_another, rounds=2, warm=False)
    print(
        f"memory of those {len(names)} at its most, all processes (PSS), and a kernel's share",
        *memory,
        sep="\t",
    )


def known_to_run(name: str) -> bool:
    """Does it need no parameter?"""
    try:
        return bool(runs.prepare(name, TARGET, {}, apply=False))
    except UsageError:
        return False


def memory_of(words: list[str]) -> tuple[str, str]:
    """Of a command and all its children.

    The sum at its most, and the median of one that was forked.
    """
    most: list[float] = [0]
    running = psutil.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None:
        found = [megabytes(process) for process in [running, *running.children(recursive=True)]]
        most = max(most, found, key=sum)
        time.sleep(0.3)
    return f"{sum(most):.0f} MB", f"{statistics.median(most):.0f} MB"


def megabytes(process: psutil.Process) -> float:
    """Its memory, a page that several share counted in parts."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def reports_by_workers(folder: Path) -> None:
    """Records in S3, their index in PostgreSQL: by two workers of eight threads, and in one
    process. The lab answers for AWS and is one process, so more workers here are not more speed.
    """
    what = "the same reports by two Dask workers / in one opslib process"
    if find_spec("distributed") is None:
        print(f"{what}: Dask is not installed (requirements-dev.lock)")
        return
    with kept_elsewhere(folder):
        cluster = Cluster(folder)
        try:
            cluster.worker(threads=8), cluster.worker(threads=8)
            cluster.wait_for(2)
            ours = [str(BIN / "opslib"), "report", "daily", "-t", "lab/*"]
            theirs = [*ours, "--executor", cluster.address]
            report(what, lambda: command(theirs), lambda: command(ours), rounds=2)
        finally:
            cluster.end()


@contextlib.contextmanager
def kept_elsewhere(folder: Path) -> Iterator[None]:
    from moto.server import ThreadedMotoServer

    from opslib.lab.postgres.postgres import Postgres

    (folder / "index").mkdir()
    server, index = ThreadedMotoServer(port=0, verbose=False), Postgres(folder / "index", "x")
    server.start()
    index.start()
    host, port = server.get_host_and_port()
    login = {"aws_access_key_id": "here", "aws_secret_access_key": "only"}
    where = {"region_name": "us-east-1", "endpoint_url": f"http://{host}:{port}"}
    boto3.client("s3", **where, **login).create_bucket(Bucket="kept")
    before = dict(os.environ)
    os.environ |= {name.upper(): value for name, value in login.items()} | {
        "BOTO3_ENDPOINT_URL": where["endpoint_url"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "OPSLIB_RECORDS": "s3://kept/records",
        "OPSLIB_INDEX": index.url("postgres"),
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.stop()
        index.stop()


def page_of_metrics(folder: Path) -> None:
    ops = connect(TARGET)
    lab.up().ask("POST", "settings", delay_ms=DELAY_MS)
    try:
        report(
            f"metrics page in one GetMetricData / one get_metric_statistics a metric, +{DELAY_MS} "
            "ms a call",
            lambda: metrics.read(ops, window(ops, 1440)),
            lambda: statistics_one_by_one(ops),
            rounds=7,
        )
        aws = aws_command(folder)
        report(
            f"metrics page in one GetMetricData / the aws command a metric, +{DELAY_MS} ms a call",
            lambda: metrics.read(ops, window(ops, 1440)),
            lambda: aws_one_by_one(ops, aws),
            rounds=3,
        )
    finally:
        lab.up().ask("POST", "settings", delay_ms=0)


def statistics_one_by_one(ops) -> None:  # type: ignore[no-untyped-def]
    cloudwatch = ops.client("cloudwatch")
    for facts in ops.target["metrics"].values():
        statistic = facts["statistic"]
        asked = (
            {"ExtendedStatistics": [statistic]}
            if statistic.startswith("p")
            else {"Statistics": [statistic]}
        )
        cloudwatch.get_metric_statistics(**where(ops, facts), **asked)


def where(ops, facts) -> dict:  # type: ignore[no-untyped-def, type-arg]
    return {
        "Namespace": facts["namespace"],
        "MetricName": facts["metric"],
        "Dimensions": [{"Name": k, "Value": v} for k, v in facts["dimensions"].items()],
        "StartTime": ops.now() - timedelta(hours=24),
        "EndTime": ops.now(),
        "Period": 300,
    }


def aws_one_by_one(ops, aws: str) -> None:  # type: ignore[no-untyped-def]
    place = lab.up()
    key, secret = place.credentials(ops.target.key)
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": ops.target.region,
    }
    for facts in ops.target["metrics"].values():
        asked = where(ops, facts)
        statistic = facts["statistic"]
        option = "--extended-statistics" if statistic.startswith("p") else "--statistics"
        command(
            [
                aws,
                "--endpoint-url",
                place.aws_endpoint(ops.target.key),
                "cloudwatch",
                "get-metric-statistics",
                "--namespace",
                asked["Namespace"],
                "--metric-name",
                asked["MetricName"],
                "--period",
                "300",
                "--start-time",
                asked["StartTime"].isoformat(),
                "--end-time",
                asked["EndTime"].isoformat(),
                option,
                statistic,
                "--dimensions",
                *(f"Name={d['Name']},Value={d['Value']}" for d in asked["Dimensions"]),
            ],
            environment,
        )


def thousands(folder: Path) -> None:
    """A prefix of many keys listed; a user's objects and items erased, as a person would else."""
    ops, aws = connect(CAPTIONS), aws_command(folder)
    s3, dynamo = ops.client("s3"), ops.client("dynamodb")
    bucket, table = (
        ops.target[of][key]["name"] for of, key in (("buckets", "images"), ("tables", "captions"))
    )
    for name in ("sign_in", "objects", "items"):
        ops.target["erasure"]["user"].pop(name)
    facts = ops.target["erasure"]["user"]
    fill = ThreadPoolExecutor(8)
    put = lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 100)  # noqa: E731
    list(fill.map(put, [f"many/{at:05}.jpg" for at in range(KEYS)]))
    lab.up().ask("POST", "settings", delay_ms=DELAY_MS)
    try:
        what = f"{KEYS:,} keys of a prefix, +{DELAY_MS} ms a call"
        asked = ["s3api", "list-objects-v2", "--bucket", bucket, "--prefix", "many/"]
        ours = lambda: list_objects(ops, bucket, "many/")  # noqa: E731
        report(f"{what} / aws s3api", ours, lambda: called(ops, aws, asked), rounds=3)
        pages = s3.get_paginator("list_objects_v2")
        boto3 = lambda: [  # noqa: E731
            each
            for page in pages.paginate(Bucket=bucket, Prefix="many/")
            for each in page["Contents"]
        ]
        report(f"{what} / boto3", ours, boto3, rounds=3)

        facts["objects"] = [{"bucket": "images", "at": "images/{id}/"}]
        lab.up().ask("POST", "settings", delay_ms=0)
        list(fill.map(put, [f"images/{USER}/{at:04}.jpg" for at in range(THINGS + 2 * FEW)]))
        lab.up().ask("POST", "settings", delay_ms=DELAY_MS)
        rest = iter(list_versions(ops, bucket, f"images/{USER}/"))

        def object_by_boto3() -> None:
            one = next(rest)
            s3.delete_object(Bucket=bucket, Key=one.key, VersionId=one.id)

        def object_by_aws() -> None:
            one = next(rest)
            named = ["--bucket", bucket, "--key", one.key, "--version-id", one.id]
            called(ops, aws, ["s3api", "delete-object", *named])

        one_by_one("objects", (object_by_aws, object_by_boto3), lambda: erased(ops))

        facts.pop("objects")
        facts["items"] = [{"table": "captions", "key": "USER#{id}"}]
        lab.up().ask("POST", "settings", delay_ms=0)
        made = [{"PK": f"USER#{USER}", "SK": f"CAPTION#{at:05}"} for at in range(THINGS + 2 * FEW)]
        items = [{name: {"S": value} for name, value in each.items()} for each in made]
        list(fill.map(lambda item: dynamo.put_item(TableName=table, Item=item), items))
        lab.up().ask("POST", "settings", delay_ms=DELAY_MS)
        keys = iter(items_of(ops, table, f"USER#{USER}").keys)

        def item_by_aws() -> None:
            named = ["--table-name", table, "--key", json.dumps(next(keys))]
            called(ops, aws, ["dynamodb", "delete-item", *named])

        def item_by_boto3() -> None:
            dynamo.delete_item(TableName=table, Key=next(keys))

        one_by_one("items", (item_by_aws, item_by_boto3), lambda: erased(ops))
    finally:
        lab.up().ask("POST", "settings", delay_ms=0)


def erased(ops) -> None:  # type: ignore[no-untyped-def]
    """Looked for, planned, planned again, erased, and looked for again: as the notebook does."""
    plan = buckets.plan_erasure(ops, "user", USER)
    with contextlib.redirect_stdout(io.StringIO()):
        applied = apply(ops, plan, "now", CAPTIONS)
        found = applied.verify(buckets.check_erased, "user", USER, applied.plan.steps)
    assert found.worst == "ok", found


def many_records(folder: Path) -> None:
    """Listed, found by id and by words, of many; milliseconds, the median of nine."""
    (folder / "many").mkdir()
    os.environ["OPSLIB_RECORDS"] = str(folder / "many")
    started = datetime(2026, 1, 1, tzinfo=UTC)
    every = [record_facts(started + timedelta(minutes=at), at) for at in range(RECORDS)]
    sealed = {"sha256": "0" * 64, "hash": "0" * 64}
    rows = [records.row(said) | sealed | {"seq": at} for at, said in enumerate(every, 1)]
    with database.transaction(may_be_lost=True) as connection:
        connection.execute(database.records.insert(), rows)
        for said in every:
            words.enter(said["id"], said)
    newest = reading.list_records(most=1)[0]
    for what, ask in {
        "the newest 100 listed": lambda: reading.list_records(most=100),
        "one found by its id": lambda: reading.find(newest.id[:20]),
        "searched, one in a hundred says it": lambda: words.search(["throttled", "queue", "7"]),
        "searched, each says it": lambda: words.search(["bluemoxon"]),
    }.items():
        took = statistics.median(seconds(ask) for _ in range(9)) * 1000
        print(f"{RECORDS:,} records: {what}", f"{took:.1f} ms", sep="\t", flush=True)


def record_facts(started: datetime, at: int) -> dict:  # type: ignore[type-arg]
    seen = f"{at % 100} messages waiting, the oldest since {at} minutes, throttled by the queue"
    finding = {"status": "warn", "check": f"queue orders-{at % 9}", "seen": seen}
    name, now = f"queues/look-{at % 40}", started.isoformat(timespec="milliseconds")
    about = runs_facts.at_start(name, name, TARGET, {"hours": 24}, records.new_id(started))
    said = {"outcome": "attention", "verdict": f"{at % 7} of 30 checks did not pass."}
    return about | said | {"started": now, "ended": now, "findings": [finding] * 20}


def one_by_one(
    things: str, ways: tuple[Callable[[], None], Callable[[], None]], ours: Callable[[], None]
) -> None:
    """What is done one by one is timed for a few, and counted for all."""
    theirs = [seconds(lambda way=way: [way() for _ in range(FEW)]) * THINGS / FEW for way in ways]  # type: ignore[misc]
    mine = seconds(ours)
    for name, other in zip(("aws command", "boto3"), theirs, strict=True):
        what = f"{THINGS:,} {things} erased with proof / {name} one by one, +{DELAY_MS} ms a call"
        print(what, f"{mine:.2f}", f"{other:.2f}", f"{mine / other:.4f}", sep="\t", flush=True)


def called(ops, aws: str, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    """The aws command, in the lab's account."""
    place = lab.up()
    key, secret = place.credentials(ops.target.key)
    login = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    where = {"AWS_DEFAULT_REGION": ops.target.region}
    endpoint = ["--endpoint-url", place.aws_endpoint(ops.target.key)]
    command([aws, *endpoint, *words], os.environ | login | where)


def aws_command(folder: Path) -> str:
    """The `aws` on the PATH, else one installed for this run."""
    found = shutil.which("aws")
    if found is None:
        print("installing awscli for the comparison ...", file=sys.stderr)
        command([sys.executable, "-m", "venv", str(folder / "aws")])
        command([str(folder / "aws" / "bin" / "pip"), "install", "--quiet", "awscli"])
        found = str(folder / "aws" / "bin" / "aws")
    return found


def command(words: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode not in (0, 4, 5):  # of a report: critical, unknown
        raise SystemExit(f"{words[0]} failed ({done.returncode}): {done.stderr[-2000:]}")


def report(
    what: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    warm: bool = True,
) -> None:
    if warm:
        ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(what, f"{mine:.2f}", f"{other:.2f}", f"{ratio:.3f}", sep="\t", flush=True)


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
