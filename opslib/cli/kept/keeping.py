"""Records searched, compared, kept for so long, and their chain anchored: `opslib records …`."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import click

from opslib.cli import completion, given
from opslib.core import console, count, cut, times

_SHOWN_LINES = 3


@click.command()
@click.argument("words", nargs=-1, required=True)
@given.KEPT_ON
@given.SINCE
@click.option("--most", type=click.IntRange(min=1), default=50, show_default=True)
@given.shown()
def search(
    words: tuple[str, ...], target: list[str] | None, since: datetime | None, most: int
) -> Any:
    """The records that say all the WORDS, newest first: findings, verdicts, notes, plans.

    The beginning of a word is enough. What cells printed is not searched.
    """
    from opslib.records.texts import words as texts

    found = texts.search(words, target, since, most)
    told = list[str]()
    for hit in found.found:
        r = hit.record
        when = f"{r.started:%Y-%m-%d %H:%M}"
        told.append(f"{r.id}  {when} UTC  {r.name} on {r.target}: {console.coloured(r.outcome)}")
        told += [f"    {console.plain(cut(line, 160))}" for line in hit.lines[:_SHOWN_LINES]]
    if found.more:
        click.echo(f"And {found.more} older: --since, --target, --most.", err=True)
    if found.unread:
        lack = f"{count(found.unread, 'record')} cannot be searched yet"
        click.echo(f"{lack}: opslib records index --rebuild enters them.", err=True)
    rows = [hit.record.as_dict() | {"lines": hit.lines} for hit in found.found]
    return rows, "\n".join(told) or f"No record says {' '.join(words)!r}."


@click.command()
@click.argument("before", shell_complete=completion.records)
@click.argument("after", shell_complete=completion.records)
@given.shown()
def diff(before: str, after: str) -> Any:
    """What is different in the record AFTER, against BEFORE; the beginnings of ids are enough.

    Findings, their numbers, parameters, plan, and the version and cells of the procedure.
    """
    from opslib.records import reading
    from opslib.records.texts import differences

    a, b = reading.find(before), reading.find(after)
    found = differences.compare(a, b)
    rows = [[cut(str(cell), 200) for cell in each] for each in found]
    table = console.table(("part", "what", a.id, b.id, "change"), rows)
    same = f"{a.id} and {b.id} say the same."
    return [each._asdict() for each in found], table if found else same


@click.command()
@click.option("--older-than", "older", required=True, metavar="DAYS", help="365d, 52w.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Of each procedure on each target so many stay, the newest.",
)
@click.option("--apply", is_flag=True, help="Remove them; without it, it is only shown.")
@given.shown()
def prune(older: str, keep: int, apply: bool) -> Any:
    """Remove the files of old records; their rows stay, and the chain says what was removed.

    Spared are records of incidents, sittings with changes, and what is younger than 7 days.
    """
    from opslib.records.chain import retention

    now = datetime.now(UTC)
    found = retention.prune(now - times.moment(older, now), keep, apply=apply)
    told = [f"{r.id}  {r.name} on {r.target}: {r.outcome}" for r in found.go]
    for why, number in Counter(found.spared.values()).items():
        told.append(f"spared: {count(number, 'record')}: {why}")
    for name in found.left:
        click.echo(f"left: {name} is not what was sealed: opslib records verify", err=True)
    what = f"{count(len(found.go), 'record')}, {count(found.files, 'file')}"
    told.append(f"{'Removed' if apply else 'To be removed'}: {what}.")
    if found.go and not apply:
        told.append("Nothing was removed yet. To remove them: --apply")
    go = [record.as_dict() for record in found.go]
    shown = {"records": go, "files": found.files, "spared": found.spared, "left": found.left}
    return shown | {"removed": apply}, "\n".join(told)


@click.command()
@click.option(
    "--days", type=click.IntRange(min=1), default=400, show_default=True, help="Locked for so long."
)
@given.JSON
def anchor(days: int, as_json: bool) -> None:
    """Put the head of the chain where no writer of records can change it: S3 with Object Lock.

    OPSLIB_ANCHOR=s3://bucket/prefix names the place; `records verify` compares with what is there.
    """
    from opslib.records.chain import anchors

    put = anchors.anchor(days)
    if as_json:
        click.echo(console.as_json(vars(put)))
        return
    click.echo(put.head)
    how = "anchored" if put.new else "was anchored already"
    click.echo(f"{how}: {put.where}, locked until {put.until:%Y-%m-%d}", err=True)


@click.command()
@click.argument("id", metavar="RECORD", shell_complete=completion.records)
@given.shown()
def reconcile(id: str) -> Any:
    """Compare a RECORD with CloudTrail: nothing invented, and nothing left out beside it.

    Read only. Each changing call is told by its request id. Exit status as of `opslib run`.
    """
    from opslib import changes
    from opslib.records import outcomes, reading
    from opslib.session import connect

    record = reading.find(id)
    found = changes.reconcile(connect(record.target), record.id)
    rows = [(f.status, f.check, f.seen, f.threshold) for f in found]
    table = console.table(("status", "check", "seen", "threshold"), rows)
    return [vars(each) for each in found], table, outcomes.exit_status("ok", found.worst)
