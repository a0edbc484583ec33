"""The commands `opslib lab …`."""

from typing import Any

import click

from opslib import lab as practice
from opslib.core import console
from opslib.core.errors import UsageError

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_target = click.option("-t", "--target", help="For instance lab/bluemoxon-staging.")


@click.group()
def lab() -> None:
    """The practice lab on this machine: start it, break something, mend it."""


@lab.command()
@click.option("--seed", type=int, help="Another seed makes other data (default 7).")
@click.option("--clock-offset-hours", type=float, help="Moves the lab's time of day (default 0).")
@_json
def up(seed: int | None, clock_offset_hours: float | None, as_json: bool) -> None:
    """Start the lab, or find the one that runs."""
    running = practice.find()
    if running is None:
        click.echo("Starting the lab …", err=True)
        running = practice.up(7 if seed is None else seed, clock_offset_hours or 0.0)
    for option, wanted, is_now in (
        ("seed", seed, running.seed),
        ("clock offset", clock_offset_hours, running.clock_offset_hours),
    ):
        if wanted is not None and wanted != is_now:
            raise UsageError(
                f"The lab at {running.url} runs with {option} {is_now}, not {wanted}. End it "
                "first: opslib lab down"
            )
    _show(practice.status(), as_json)


@lab.command()
@_json
def status(as_json: bool) -> None:
    """What runs, which drills are on, how much memory it takes."""
    _show(practice.status(), as_json)


@lab.command()
@_json
def down(as_json: bool) -> None:
    """End the lab; nothing of it is left."""
    ended = practice.down()
    text = "The lab is gone." if ended else "No lab was running."
    click.echo(console.as_json({"ended": ended}) if as_json else text)


@lab.command()
@_json
def reset(as_json: bool) -> None:
    """Forget all changes and drills: the lab as it was when it started, with the targets of now."""
    new = practice.reset()
    _show({**practice.status(), "new": new}, as_json)


@lab.command()
@_json
def drills(as_json: bool) -> None:
    """The faults that can be put in, and which are."""
    listed = practice.drills()
    if as_json:
        click.echo(console.as_json(listed))
        return
    rows = [
        (
            each["name"],
            each["title"],
            ", ".join(map(_short, each["targets"])),
            ", ".join(map(_short, each["on"])),
        )
        for each in listed
    ]
    click.echo(console.table(("drill", "what happens", "for", "on now"), rows))
    click.echo(
        "\nPut one in: opslib lab break DRILL -t lab/…   Take it out: opslib lab mend DRILL",
        err=True,
    )


@lab.command("break")
@click.argument("drill")
@_target
@_json
def break_(drill: str, target: str | None, as_json: bool) -> None:
    """Put the fault DRILL into a target: the only one that can have it, when none is given."""
    put = practice.break_drill(drill, target)
    text = f"{put['drill']} is on in {put['target']}. Take it out: opslib lab mend {put['drill']}"
    click.echo(console.as_json(put) if as_json else text)


@lab.command()
@click.argument("drill", required=False)
@_target
@_json
def mend(drill: str | None, target: str | None, as_json: bool) -> None:
    """Take the fault DRILL out, or every fault."""
    mended = practice.mend(drill, target)
    if as_json:
        click.echo(console.as_json(mended))
        return
    for each in mended:
        click.echo(f"{each['drill']} is out of {each['target']}.")
    if not mended:
        click.echo("Nothing was broken.")


def _short(target: str) -> str:
    return target.removeprefix("lab/")


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(console.as_json({"running": bool(found), **found}))
        return
    if not found:
        click.echo("No lab is running. Start it: opslib lab up")
        return
    broken = [f"{each['drill']} in {each['target']}" for each in found["broken"]]
    denied = [
        f"{', '.join(operations)} in {target}" for target, operations in found["denied"].items()
    ]
    rows = [
        ("url", found["url"]),
        (
            "process",
            f"{found['pid']}, {found['memory_mb']} MB, PostgreSQL "
            f"{found['postgres']['memory_mb']} MB",
        ),
        ("seed", f"{found['seed']}, clock offset {found['clock_offset_hours']:g} h"),
        ("targets", ", ".join(found["targets"])),
        *([("new", ", ".join(found["new"]))] if found.get("new") else []),
        ("drills on", ", ".join(broken) or "none"),
        *([("denied", "; ".join(denied))] if denied else []),
        *([("nothing in", ", ".join(found["empty"]))] if found["empty"] else []),
        *([("from its file", f"{name}: {why}") for name, why in found["plain"].items()]),
        *([("left out", f"{name}: {why}") for name, why in found["skipped"].items()]),
    ]
    click.echo(console.table(("lab", "running"), rows))
