"""The lab's commands, where a drill may be practised as an incident: `opslib lab …`."""

from contextlib import suppress
from typing import Any

import click

from opslib import lab as the_lab
from opslib.cli import given
from opslib.core import OpsError, UsageError, console, unknown_name
from opslib.lab import commands as plain

lab = click.Group("lab", help=plain.lab.help, commands=dict(plain.lab.commands))
_json = given.as_json("text")


@lab.command("break")
@click.argument("drill")
@given.target("For instance lab/bluemoxon-staging.")
@click.option("--incident", "practised", is_flag=True, help="Start an incident, too: practice.")
@click.option("--severity", default="", help="Of the incident; else by the target's file.")
@_json
def break_(drill: str, target: str | None, practised: bool, severity: str, as_json: bool) -> None:
    """Put the fault DRILL into a target: when none is given, of the only system that can have it.

    With --incident its times count from now, and are compared with the last try when it is ended.
    """
    if severity and not practised:
        raise UsageError("--severity is of an incident: give --incident, too. Nothing was broken.")
    about = _about(drill, target, severity) if practised else {}
    rang = _ringing(about["target"]) if about else set()
    put = the_lab.break_drill(drill, about.get("target", target))
    if not about:
        text = f"{put['drill']} is on in {put['target']}. Take it out: opslib lab mend {drill}"
        click.echo(console.as_json(put) if as_json else text)
        return
    found = _started(about, rang, put, as_json)
    if as_json:
        click.echo(console.as_json(put | {"incident": found.as_dict()}))


def _about(drill: str, target: str | None, severity: str) -> dict[str, Any]:
    """What the incident is started with. Raises UsageError, Refused: nothing was broken."""
    from opslib.incidents import incidents, levels

    listed = the_lab.drills()  # two systems may have one of the same name
    named = {on: each for each in listed if each["name"] == drill for on in each["targets"]}
    if not named:
        names = sorted({each["name"] for each in listed})
        raise unknown_name("drill", drill, names, " (list them: opslib lab drills)")
    can = sorted(named)
    if target is None and len(can) != 1:
        raise UsageError(f"{drill} can be put into {', '.join(can)}: say which, with -t.")
    on = target or can[0]
    if on not in can:
        raise UsageError(f"{drill} is no drill of {on}. It is of {', '.join(can)}.")
    if on in named[on]["on"]:
        raise UsageError(
            f"{drill} is on in {on} already, so it is not known when it began. Nothing was "
            f"started. Take it out first: opslib lab mend {drill} -t {on}"
        )
    incidents.require_none_open(on, incidents.every())
    level = levels.level(on, severity) if severity else levels.fitting(on, drill)
    return {"target": on, "title": named[on]["title"], "severity": level}


def _ringing(target: str) -> set[str]:
    """The alarms that are on; none when they cannot be looked at: then nothing is said of one."""
    from opslib import alarms, session

    try:
        listed = alarms.list_alarms(session.connect(target))
    except OpsError:
        return set()
    return set(listed.loc[listed["state"] == "ALARM", "alarm"])


def _started(about: dict[str, Any], rang: set[str], put: dict[str, str], to_stderr: bool) -> Any:
    from opslib.cli.incidents import commands, texts
    from opslib.incidents import incidents, practice

    ringing = sorted(_ringing(about["target"]) - rang)
    found = practice.start(put["drill"], **about, alarm=ringing[0] if ringing else "")
    more = f"; alarms that ring: {', '.join(ringing)}" if ringing else "; no alarm rings"
    click.echo(f"{texts.started(found)}{more}", err=to_stderr)
    commands.look(found, "before", to_stderr)
    found = incidents.find(found.id)
    click.echo(texts.status(found), err=to_stderr)
    click.echo(
        f"next:      mend it with procedures, then: opslib incident end -i {found.id}", err=True
    )
    return found


def _on() -> set[tuple[str, str]]:
    """The targets that have a drill, and which."""
    return {(each["target"], each["drill"]) for each in (the_lab.status() or {}).get("broken", ())}


def _takes_out(name: str) -> None:
    """A command of the lab after which a drill that is practised may be out."""
    plain_one = plain.lab.commands[name]

    @lab.command(name, help=plain_one.help, params=plain_one.params)
    @click.pass_context
    def takes_out(context: click.Context, /, **given: Any) -> None:
        before = _on()
        context.invoke(plain_one, **given)
        with suppress(OpsError):  # the lab's command was done, whatever the index says
            for target, drill in sorted(before - _on()):
                _told(target, drill, f"opslib lab {name}")


for _each in ("mend", "reset", "down"):
    _takes_out(_each)


def _told(target: str, drill: str, how: str) -> None:
    from opslib.incidents import practice

    for found in practice.taken_out(target, drill, how):
        end = f"End it: opslib incident end -i {found.id}"
        click.echo(f"Practice {found.id} is open on {target}, and keeps this. {end}", err=True)
