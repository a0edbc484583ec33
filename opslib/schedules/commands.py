"""The commands `opslib schedule …`: what runs by itself, and what was missed."""

import sys
from typing import Any

import click

from opslib.cli import given
from opslib.core import console, unknown_name
from opslib.schedules import installing, ledger, running, schedules, standing
from opslib.schedules.ledger import Busy
from opslib.schedules.standing import Standing

_ENDED = """\b
Exit status: as of `run`; also 1 when something was missed, was not told, or is wrong in a file."""


@click.group()
def schedule() -> None:
    """Reports that are made by themselves: parameters/schedules/*.yaml, docs/schedules.md."""


@schedule.command()
@click.argument("name", required=False)
@given.shown()
def show(name: str | None) -> Any:
    """Each schedule with its last run, its next time, and what it missed.

    Exit status: 0; 2 when something is wrong in a file.
    """
    planned, wrong = schedules.read()
    if name is not None:
        known = [each.name for each in planned]
        if name not in known and not wrong:
            raise unknown_name("schedule", name, known)
        planned = [each for each in planned if each.name == name]
    found = standing.standings(planned, running.now_utc())
    text, turn = "No schedule. Write one: docs/schedules.md", ledger.last_turn()
    if found:
        text = console.table(_HEADER, [_row(each) for each in found])
    said = {"began": turn["began"], "host": ledger.machine(turn["host"])} if turn else {}
    last = f"last run-due: {said['began'][:16]} UTC on {said['host']}" if said else _NEVER
    _complain([*wrong, last])
    rows = [each.as_dict() for each in found]
    return {"schedules": rows, "wrong": wrong, "run_due": said}, text, 2 if wrong else 0


_NEVER = "run-due never ran: nothing runs by itself until it does. Look: opslib schedule install"
_HEADER = (
    "outcome",
    "schedule",
    "runs",
    "target",
    "when (UTC)",
    "last",
    "record",
    "next",
    "missed",
)


def _row(each: Standing) -> list[str]:
    last = f"{each.last:%Y-%m-%d %H:%M}" if each.last else ""
    missed = f"{each.missed}{' (overdue)' if each.overdue else ''}"
    next_ = f"{each.next:%Y-%m-%d %H:%M}"
    words = [each.outcome, each.schedule, each.runs, each.target, each.when, last, each.record]
    return [*words, next_, missed]


def _complain(lines: list[str]) -> None:
    for line in lines:
        click.echo(console.plain(line), err=True)


@schedule.command("run-due", epilog=_ENDED)
@click.option("--only-look", is_flag=True, help="Run nothing: find what was missed, and tell.")
@given.shown()
def run_due(only_look: bool) -> Any:
    """Run what is due since the last time, find what was missed, tell who is to be told.

    Of several times only the newest is caught up. One at a time: where another is at work, nothing
    is done.
    """
    from opslib.cli import runs as told

    try:
        done = running.run_due(only_look=only_look, progress=_progress)
    except Busy as exc:
        click.echo(f"opslib: {exc}", err=True)
        sys.exit(0)
    _complain([*(f"missed: {line}" for line in done.missed), *done.failed, *done.untold])
    _complain(done.wrong)
    bad = done.missed or done.failed or done.untold or done.wrong
    lists = {"missed": done.missed, "failed": done.failed, "untold": done.untold}
    ran = [record.as_dict() for record in done.ran]
    text = told.listed(done.ran) if done.ran else "Nothing was due."
    return (
        {"ran": ran, **lists, "wrong": done.wrong},
        text,
        1 if bad else told.exit_status(done.ran),
    )


def _progress(name: str, target: str) -> console.Progress:
    return console.Progress(f"{name} on {target}")


_KIND = click.option(
    "--with", "kind", type=click.Choice(installing.KINDS), help="Else what is here."
)
_APPLY = click.option("--apply", is_flag=True, help="Do it; without this it is only shown.")


@schedule.command()
@_KIND
@click.option("--every", type=click.IntRange(1, 30), default=5, show_default=True, help="Minutes.")
@_APPLY
def install(kind: str | None, every: int, apply: bool) -> None:
    """Have the machine's own scheduler call run-due: a systemd timer of yours, or crontab."""
    _carry_out(installing.planned(kind or installing.kind_here(), every), apply, "install")


@schedule.command()
@_KIND
@_APPLY
def uninstall(kind: str | None, apply: bool) -> None:
    """Take away what install wrote for this checkout; records and schedules stay."""
    _carry_out(installing.removal(kind or installing.kind_here()), apply, "uninstall")


def _carry_out(what: installing.Installation, apply: bool, command: str) -> None:
    click.echo(str(what))
    if apply:
        installing.carry_out(what)
        click.echo("Done. How it stands: opslib schedule show", err=True)
        if what.kind == "systemd" and command == "install":
            click.echo("So that it runs while you are logged out: loginctl enable-linger", err=True)
    else:
        again = f"opslib schedule {command} --with {what.kind} --apply"
        click.echo(f"Nothing was changed. Do it: {again}", err=True)
