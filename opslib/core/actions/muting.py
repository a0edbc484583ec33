"""An alarm muted for a while: from when it is done, so that a plan of it stays the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from opslib.core.actions.actions import Action
from opslib.core.connections.connection import Connection


class Mute(Action, kind="mute"):
    """A mute rule of CloudWatch for one alarm, of so many minutes from now on.

    Its answer: `name`, `until`. CloudWatch ends it by itself.
    """

    def __init__(self, alarm: str, minutes: int, reason: str) -> None: ...

    def __str__(self) -> str:
        return f"cloudwatch.put_alarm_mute_rule({self['alarm']} for {self['minutes']} minutes)"

    def perform(self, ops: Connection) -> Any:
        # whole minutes: a window begins with one, and one that has begun already would not begin
        start = ops.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
        until = start + timedelta(minutes=self["minutes"])
        name = f"opslib-{self['alarm'][:120]}-{start:%Y%m%dT%H%M}"
        schedule = {
            "Expression": f"at({start:%Y-%m-%dT%H:%M})",
            "Duration": f"PT{self['minutes']}M",
        }
        ops.change(
            "cloudwatch",
            "put_alarm_mute_rule",
            self.token,
            Name=name,
            Description=f"{self['reason']} ({ops.identity.user}, by opslib)",
            Rule={"Schedule": {**schedule, "Timezone": "UTC"}},
            MuteTargets={"AlarmNames": [self["alarm"]]},
            ExpireDate=until.isoformat(),
        )
        return {"name": name, "until": until.isoformat()}
