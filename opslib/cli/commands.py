"""`opslib`: data goes to stdout, progress to stderr; modules are imported when they are needed."""

import atexit
import gc
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, NoReturn

import click

from opslib.cli import completion, given, streams
from opslib.cli.given import JSON as _json
from opslib.cli.given import NOTE, pairs
from opslib.cli.given import running as _running
from opslib.core import Json, OpsError, Refused, UsageError, console, redaction
from opslib.core.connections.targets import matching
from opslib.core.strict_yaml import skip_grammars

_STATUS = """\b
Exit status: 0 done; 1 failed; 2 usage, and nothing was started;
3 refused by a guard, and nothing changed; 4 done, and a finding is critical;
5 done, none is critical, and one is unknown: something could not be looked at."""

_PROVED = """\b
Exit status: 0 all is as it was sealed; 1 something is not, or nothing proves it; 2 usage."""


class _Commands(click.Group):
    """Commands with a module of their own come from it, when they are called for."""

    modules: ClassVar = {
        "completion": "opslib.cli.completion",
        "find": "opslib.cli.finding",
        "incident": "opslib.cli.incidents.commands",
        "incidents": "opslib.cli.incidents.commands",
        "lab": "opslib.cli.incidents.practice",
        "note": "opslib.cli.sittings",
        "open": "opslib.cli.sittings",
        "policy": "opslib.policies.commands",
        "readiness": "opslib.cli.readiness",
        "schedule": "opslib.schedules.commands",
        "target": "opslib.cli.targets",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *self.modules]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.modules:
            return super().get_command(ctx, name)
        from importlib import import_module

        command: click.Command = getattr(import_module(self.modules[name]), name)
        return command


@click.group(
    cls=_Commands, epilog=_STATUS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="opslib", message="opslib %(version)s")
def cli() -> None:
    """Runbooks that run: find procedures, run them on a target, look at the records."""


class _Records(_Commands):
    """What is done with records."""

    modules: ClassVar = dict.fromkeys(
        ("anchor", "diff", "prune", "reconcile", "search"), "opslib.cli.kept.keeping"
    )


@cli.command("list")
@click.argument("system", required=False, shell_complete=completion.systems)
@given.shown()
def list_(system: str | None) -> Any:
    """The procedures; or the runbook of a SYSTEM."""
    from opslib.cli import listings

    rows = listings.runbook(system) if system else listings.procedures()
    return rows, listings.as_text(rows, system)


@cli.command()
@click.argument("name", shell_complete=completion.names)
@given.shown()
def show(name: str) -> Any:
    """What a procedure or runbook entry is for, does and takes."""
    from opslib.cli import listings

    shown = listings.described(name)
    return shown, listings.description(shown)


@cli.command(epilog=_STATUS)
@click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, shell_complete=completion.names
)
@click.option(
    "--apply", is_flag=True, help="Plan and apply in one run, where the target's policy allows it."
)
@NOTE
@_running
def run(names: tuple[str, ...], targets: tuple[str, ...], **options: Any) -> NoReturn:
    """Run procedures (chapter/name) or runbook entries (system/entry) on targets; keep the records.

    Several run at the same time, and a summary comes first; a parameter goes to each that has it.
    """
    on = matching(targets)
    _run(names, on, **options, alone=len(set(names)) == 1 and on == [*targets])


@cli.command(epilog=_STATUS)
@click.argument("name", shell_complete=completion.reports)
@_running
def report(name: str, targets: tuple[str, ...], **options: Any) -> NoReturn:
    """Run the report reports/NAME on targets at the same time; a summary of several comes first."""
    _run([f"reports/{name}"], matching(targets), **options)


def _run(
    names: Sequence[str],
    on: Sequence[str],
    given: tuple[str, ...],
    timeout: float | None,
    as_json: bool,
    alone: bool = False,
    **more: Any,
) -> NoReturn:
    """Run and tell. `alone`: one is asked for, so its JSON is not a list; `more`: `run_many`'s."""
    from opslib.runs import batches, forks

    gc.set_threshold(50_000, 20, 20)  # imports, and what a run reads, are used to its end
    atexit.register(gc.freeze)  # and go with the process: nothing looks through them once more
    among = [(name, target) for name in names for target in on]
    if more["executor"] == batches.LOCAL:
        forks.prepare(many=len(among) > 1)  # while what follows is imported
    from opslib.cli import runs as told
    from opslib.runs import runs

    line = console.Progress()  # of the only run

    def progress(name: str, target: str) -> console.Progress:
        return console.Progress(label) if (label := console.called(name, target, among)) else line

    more |= {"progress": progress, "printed": None if as_json else streams.Lines(line.end)}
    told.name_strangers(among)
    try:
        records = runs.run_many(names, on, pairs(given), timeout_seconds=timeout, **more)
    finally:
        line.end()
    summary: Json = {}
    if len(records) > 1:
        text, summary["summary"] = told.kept(records)
    elif not as_json:
        text = told.as_text(records[0], [*given])
    if as_json:
        shown = [summary | told.shown(record) for record in records]
        text = console.as_json(shown[0] if alone else shown)
    click.echo(text)
    sys.exit(told.exit_status(records))


@cli.group(cls=_Records, invoke_without_command=True)
@given.KEPT_ON
@given.SINCE
@click.option(
    "--outcome",
    help="ok, attention, changed, previewed, refused, failed, timed out, kernel died, interrupted.",
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    help="So many, the newest; 100 in the table, without it all in JSON.",
)
@_json
@click.pass_context
def records(
    ctx: click.Context,
    target: list[str] | None,
    since: datetime | None,
    outcome: str | None,
    most: int | None,
    as_json: bool,
) -> None:
    """The records of runs, newest first."""
    if ctx.invoked_subcommand is not None:
        return
    from opslib.cli import runs as told
    from opslib.records import reading

    asked = most or (None if as_json else 100)
    found = reading.list_records(target, since, outcome, asked)
    unlisted = reading.unlisted()
    if found or as_json or not unlisted:
        click.echo(console.as_json([r.as_dict() for r in found]) if as_json else told.listed(found))
    if len(found) == asked and not as_json:
        click.echo(f"The newest {asked}. Older ones: --since, --target, --most.", err=True)
    if unlisted:
        _end(told.unlisted(unlisted), 1)


@records.command(epilog=_PROVED)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="NUMBER:HASH",
    help="A head of the chain, kept elsewhere, or a file of them: fails when it is gone. Repeat.",
)
@given.shown()
def verify(files: tuple[str, ...], heads: tuple[str, ...]) -> Any:
    """Prove that no record, page or spilled file was altered, added or removed.

    A FILE is a page or notebook as it was attached somewhere: is it what was sealed?
    """
    from opslib.cli.kept import proofs

    return proofs.files(files, heads) if files else proofs.everything(heads)


@records.command()
@given.shown()
def head() -> Any:
    """The head of the chain, NUMBER:HASH. Keep it elsewhere, and give it to verify --head."""
    from opslib.records import verification

    number, _, digest = (shown := verification.head()).partition(":")
    return {"head": shown, "number": int(number), "hash": digest}, shown


@records.command("index")
@click.option(
    "--rebuild", is_flag=True, help="Enter the records that have no row, from their files."
)
@given.shown()
def index_(rebuild: bool) -> Any:
    """Where the index is; --rebuild makes it again when it was lost.

    Exit status: 0 done, or nothing to do; 1 some files were not entered.
    """
    from opslib.cli.kept import proofs

    return proofs.rebuild() if rebuild else proofs.index()


@records.command("show")
@click.argument("id", shell_complete=completion.records)
@given.shown()
def show_record(id: str) -> Any:
    """What a record says; the beginning of its ID is enough."""
    from opslib.cli import runs as told
    from opslib.records import reading

    record = reading.find(id)
    return told.shown(record, everything=True), told.as_text(record)


@records.command()
@click.argument("id", shell_complete=completion.records)
def page(id: str) -> None:
    """Make a record's HTML page again; prints where it is."""
    from opslib.records import reading, sealing

    click.echo(sealing.make(reading.find(id)))


def main(arguments: list[str] | None = None) -> NoReturn:
    """The command; ends the process with its exit status."""
    skip_grammars()
    try:
        with streams.whole():
            cli.main(arguments, prog_name="opslib", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (KeyboardInterrupt, click.Abort) as exc:
        _end(f"interrupted{exc.__cause__ or exc}", 130)
    except BrokenPipeError:  # the reader of stdout has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OpsError as exc:
        _end(str(exc), 2 if isinstance(exc, UsageError) else 3 if isinstance(exc, Refused) else 1)
    sys.exit(0)


def _end(message: str, status: int) -> NoReturn:
    click.echo(f"opslib: {console.plain(redaction.mask(message))}", err=True)
    sys.exit(status)
