"""An alarm muted for a while: from when it is done, so that a plan of it stays the same."""

from datetime import timedelta
from typing import Any

from opslib.core.actions.actions import action
from opslib.core.connections.connection import Connection


@action("mute", "cloudwatch.put_alarm_mute_rule({alarm} for {minutes} minutes)")
def Mute(ops: Connection, alarm: str, minutes: int, reason: str) -> Any:
    """A mute rule of CloudWatch for one alarm, of so many minutes from now on.

    Its answer: `name`, `until`. CloudWatch ends it by itself.
    """
    # whole minutes: a window begins with one, and one that has begun already would not begin
    start = ops.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    until = (start + timedelta(minutes=minutes)).isoformat()
    name = f"opslib-{alarm[:120]}-{start:%Y%m%dT%H%M}"
    schedule = {"Expression": f"at({start:%Y-%m-%dT%H:%M})", "Duration": f"PT{minutes}M"}
    ops.change(
        "cloudwatch",
        "put_alarm_mute_rule",
        Name=name,
        Description=f"{reason} ({ops.identity.user}, by opslib)",
        Rule={"Schedule": {**schedule, "Timezone": "UTC"}},
        MuteTargets={"AlarmNames": [alarm]},
        ExpireDate=until,
    )
    return {"name": name, "until": until}
