"""Who runs with a value of a secret from before its present one."""

from datetime import datetime
from functools import partial
from typing import Any

from opslib import services
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Question,
    check,
    count,
    frame,
    functions,
)
from opslib.secrets import ages

STALE = "secret-stale"


@check("Do all tasks hold the present values of the secrets?")
def check_taken(ops: Connection, secret: str = "") -> Findings:
    """Tasks that were started before the present value of a secret that their service takes.

    Of one secret, or of each that the target's file names. What was valid before may be so still:
    a warning.
    """
    if "services" not in ops.target.facts:
        return Findings(note="The target's file describes no services: no task takes a secret.")
    chosen = [secret] if secret else ops.target["secrets"]
    told = ops.each(partial(_consumers, ops), chosen, "who takes secret {}")
    return Findings(
        _judged(name, made, each)
        for name, (made, consumers) in told.items()
        for each in consumers.itertuples()
    )


def _consumers(ops: Connection, name: str) -> tuple[datetime, Frame]:
    """Of a secret that is not there, or has no value, nobody is told: its age is a finding."""
    made, described = ages.read_age(ops, name)
    if made is None:
        return ops.now(), frame((), services.CONSUMERS)
    return made, services.list_consumers(ops, described["ARN"], made)


def _judged(name: str, made: datetime, each: Any) -> Finding:
    asked = Question(
        f"{each.service} runs with the present value of {name}",
        f"all tasks since {made:%Y-%m-%d %H:%M} UTC",
        "ecs DescribeTasks, ListSecretVersionIds",
    )
    if each.pinned:
        seen = f"{each.takes} asks for one version: no newer value reaches it"
        return asked.warn(seen, next="services/health")
    if not each.older or each.rolling:  # one that does not end is services/health's
        replaced = f"; {each.older} of before are being replaced" * bool(each.older)
        return asked.ok(f"{count(each.tasks, 'task')}{replaced}", cause=STALE)
    seen = f"{each.older} of {each.tasks} tasks are older, since {each.oldest:%Y-%m-%d %H:%M} UTC: "
    seen += f"they hold what {each.takes} was before. Start them anew: secrets/rotate, key=''"
    return asked.warn(seen, cause=STALE, next="secrets/rotate")


def check_serving(ops: Connection) -> Findings:
    """The services' own checks, and whether their load balancers take the tasks for healthy."""
    if "services" not in ops.target.facts:
        return Findings(note="The target's file describes no services.")
    return Findings([*services.check_services(ops), *services.check_targets(ops)])


def list_functions(ops: Connection, name: str, arn: str) -> list[str]:
    """Functions of the target whose variables name a secret: they read it by themselves."""
    known = ops.target.at("functions")
    held = ops.each(lambda key: functions.variables(functions.live(ops, key)), known)
    return [key for key, has in held.items() if {name, arn, arn[:-7]} & {*has.values()}]
