"""The commands `opslib incident …` and `opslib incidents`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from opslib.cli import completion, given
from opslib.cli.incidents import texts
from opslib.core import OpsError, console, count
from opslib.core.times import past
from opslib.incidents import causes, events, looks, timelines
from opslib.incidents import incidents as known
from opslib.records import LOOKED

_AT = click.option("--at", default="", help="When it was so: 14:05 (UTC), 20m (ago), or a date.")
_OF = click.option(
    "-i",
    "--incident",
    "id",
    default="",
    help="Its id; the beginning is enough. Else the open one.",
    shell_complete=completion.incidents,
)
_KEPT = click.option("--kept", is_flag=True, help="From what is kept; do not ask the account.")


@click.group()
def incident() -> None:
    """An incident from its start to its post-mortem: what happened when, and was known when.

    Every run on its target ties itself to it while it is open.
    """


@incident.command()
@click.argument("title")
@given.target("What is hit.", required=True)
@click.option("--severity", required=True, help="2, or as the target's file calls it: P2.")
@click.option("--began", default="", help="When it began: 13:55 (UTC), 20m (ago), or a date.")
@click.option("--alarm", default="", help="The alarm that told of it.")
@click.option("--another", is_flag=True, help="Beside one that is open on this target.")
def start(**said: Any) -> None:
    """Start an incident: TITLE is what users see. A first look is kept as the baseline."""
    found = known.start(**said)
    click.echo(texts.started(found))
    look(found, "before")
    click.echo(texts.status(known.find(found.id)))


def look(found: Any, kind: str, to_stderr: bool = False) -> None:
    """A look that could not be made does not end the incident's command."""
    try:
        with _progress() as progress:
            record = looks.look(found, kind, progress)
        said = f"look:      {record.outcome}: {record.verdict} (record {record.id})"
        click.echo(said, err=to_stderr)
        if kind == "after" and record.outcome == "interrupted":
            raise KeyboardInterrupt(f": {found.id} is still open")
    except OpsError as exc:
        click.echo(f"opslib: the look could not be made: {console.plain(str(exc))}", err=True)


@contextmanager
def _progress() -> Iterator[Callable[[str, str], console.Progress]]:
    """The line on stderr that moves, and its end."""
    line = console.Progress()
    try:
        yield lambda name, target: line
    finally:
        line.end()


@incident.command()
@click.argument("text")
@given.KIND
@_AT
@click.option("--record", default="", help="The id of a record that shows it.")
@_OF
def note(text: str, kind: str, at: str, record: str, id: str) -> None:
    """Write down what you saw, think, ruled out, decided or told. It stays as it was said."""
    found = known.note(text, kind, at, record, id)
    click.echo(f"{found.id}: {kind} kept ({found.events[-1].happened:%Y-%m-%d %H:%M} UTC)")


@incident.command()
@click.argument("milestone", type=click.Choice([*events.MILESTONES]))
@_AT
@_OF
def mark(milestone: str, at: str, id: str) -> None:
    """Mark a milestone; said again, it is corrected."""
    found = known.mark(milestone, past(at) if at else None, id)
    when = found.milestones[milestone].happened
    lacks = f"; not marked yet: {', '.join(found.missing)}" if found.missing else ""
    click.echo(f"{found.id}: {milestone} at {when:%Y-%m-%d %H:%M} UTC{lacks}")


@incident.command()
@click.argument("ids", nargs=-1, required=True, shell_complete=completion.records)
@_OF
def tie(ids: tuple[str, ...], id: str) -> None:
    """Tie records of before or of elsewhere; runs on the target tie themselves."""
    _tied(known.tie(ids, id))


@incident.command()
@click.argument("record", shell_complete=completion.records)
@_OF
def untie(record: str, id: str) -> None:
    """A record that has nothing to do with it."""
    _tied(known.untie(record, id))


def _tied(found: Any) -> None:
    click.echo(f"{found.id}: {count(len(known.tied(found)), 'record')} tied")


@incident.command()
@_OF
@given.shown("text")
def status(id: str) -> Any:
    """The clock, what is not marked yet, what still stands."""
    found = known.find(id)
    return texts.shown(found), texts.status(found)


@incident.command()
@_OF
def update(id: str) -> None:
    """Text to paste for those who wait; nothing is posted."""
    click.echo(texts.update(known.find(id)))


@incident.command()
@_OF
@click.option("--no-look", is_flag=True, help="Do not look again: nothing is compared.")
def end(id: str, no_look: bool) -> NoReturn:
    """End it: a last look is compared with the first, and what still stands is listed.

    Exit status: 0 all is as it should be; 4 something still stands, or is not well.
    """
    found = known.find(id, must_be_open=True)
    if not no_look:
        look(found, "after")
    found = known.write("end", found.id)
    text, well = texts.ended(found)
    click.echo(text)
    sys.exit(0 if well else 4)


@incident.command()
@click.argument("why")
@_OF
def reopen(why: str, id: str) -> None:
    """It was ended too early, or it is back: WHY. That it was resolved does not count any more."""
    click.echo(texts.status(known.reopen(why, id)))


@incident.command()
@_OF
@click.option("--csv", "as_csv", is_flag=True, help="For a spreadsheet.")
@click.option("--md", "as_md", is_flag=True, help="As a Markdown table.")
@_KEPT
@given.shown("text")
def timeline(id: str, as_csv: bool, as_md: bool, kept: bool) -> Any:
    """What happened, in its order: alarms, deployments, others' changes, runs, notes, milestones.

    The account is asked, and what it says is kept as a record.
    """
    found = known.find(id)
    if not kept:
        _look_back(found)
    made = timelines.timeline(found)
    for line in made.unseen:
        click.echo(f"opslib: not seen: {console.plain(line)}", err=True)
    if as_csv:
        text = timelines.as_csv(made.rows).rstrip("\r\n")
    else:
        text = timelines.as_markdown(made.rows) if as_md else texts.timeline(made)
    return made.as_dict(found), text


def _look_back(found: Any) -> None:
    try:
        with _progress() as progress:
            record = looks.look_back(found, progress)
        if record.outcome not in LOOKED:
            raise OpsError(f"{record.outcome}: {record.verdict} (record {record.id})")
    except OpsError as exc:
        said = console.plain(str(exc))
        click.echo(f"opslib: the account could not be asked: {said} From what is kept:", err=True)


@incident.command("post-mortem")
@_OF
@_KEPT
def post_mortem(id: str, kept: bool) -> None:
    """Make the post-mortem, a notebook and Markdown: facts filled in, judgement left as questions.

    Made again, it keeps every word that somebody wrote.
    """
    from opslib.incidents.papers import documents

    found = known.find(id)
    if not kept:
        _look_back(found)
    for path in documents.make(found):
        click.echo(path)


@incident.command()
@_OF
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="x.zip")
@click.option("--people", type=click.Choice(["show", "hide"]), default="show", show_default=True)
def export(id: str, output: Path | None, people: str) -> None:
    """One zip that opens offline: records, timeline, post-mortem, and how to verify them."""
    from opslib.incidents.papers import exports

    found = known.find(id)
    path = output or Path(f"{found.id}.zip")
    if path.exists():
        raise click.UsageError(f"{path} is there already, and stays as it is. Give another: -o.")
    made = exports.write(found, path, hide=people == "hide")
    click.echo(f"{path}: {made.files} files, sha256 {made.sha256}")
    for line in made.left_out:
        click.echo(f"opslib: left out: {console.plain(line)}", err=True)


@click.command()
@click.option("--open", "only_open", is_flag=True, help="Those that are not ended.")
@click.option("--like", default="", metavar="ID", help="Earlier ones with a cause of this one.")
@given.KEPT_ON
@given.shown("text")
def incidents(only_open: bool, like: str, target: list[str] | None) -> Any:
    """The incidents, newest first."""
    found = [i for i in known.every(only_open=only_open) if target is None or i.target in target]
    if like:
        alike = causes.alike(known.find(like))
        found = [each for each in found if each.id in alike]
    return [each.as_dict() for each in found], texts.listed(found)
