"""What CloudWatch has of a service: of its load balancer, its CPU; and when something began.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from opslib.core import UTC_TIME, Connection, Frame, Json, Window, clock, frame, functions, metrics
from opslib.services.reading import Service, number

if TYPE_CHECKING:
    import pandas as pd

# What is read: the metric, its statistic; whose it is: the target group's, the load balancer's as a
# whole (its own answers are counted nowhere else), the service's.
_READ = """
    requests   RequestCount              Sum     group
    target_5xx HTTPCode_Target_5XX_Count Sum     group
    p50_s      TargetResponseTime        p50     group
    p95_s      TargetResponseTime        p95     group
    p99_s      TargetResponseTime        p99     group
    healthy    HealthyHostCount          Average group
    of_all     RequestCount              Sum     balancer
    elb_5xx    HTTPCode_ELB_5XX_Count    Sum     balancer
    elb_502    HTTPCode_ELB_502_Count    Sum     balancer
    elb_503    HTTPCode_ELB_503_Count    Sum     balancer
    elb_504    HTTPCode_ELB_504_Count    Sum     balancer
    cpu        CPUUtilization            Average service
"""
MEASURES = {name: of for name, *of in map(str.split, _READ.strip().splitlines())}
COUNTED = [name for name, (_, statistic, _) in MEASURES.items() if statistic == "Sum"]
PAUSE = timedelta(minutes=30)  # so long it may be well, and is the same trouble
WITHIN = timedelta(minutes=20)  # what a deployment brought shows within


def groups(service: Service) -> list[Json]:
    """Dimensions of each of its target groups behind an Application Load Balancer.

    ELB DescribeTargetGroups. Empty for a service that none is in front of.
    """
    if not (arns := service.target_groups):
        return []
    asked = "elbv2", "describe_target_groups", "TargetGroups[]"
    found = service.ops.pages(*asked, TargetGroupArns=arns)
    return [
        {
            "LoadBalancer": arn.partition(":loadbalancer/")[2],
            "TargetGroup": each["TargetGroupArn"].rpartition(":")[2],
        }
        for each in found
        for arn in each["LoadBalancerArns"]
        if ":loadbalancer/app/" in arn
    ]


def balanced(ops: Connection) -> list[Json]:
    """`groups` of every service of the target."""
    return [group for of in Service.each(ops, "", groups, "requests of {}") for group in of]


def read(service: Service, group: Json, within: Window) -> Frame:
    """MEASURES as columns, by the start of each whole period.

    A count that CloudWatch leaves out is 0.
    """
    import pandas as pd

    of = {
        "group": ("AWS/ApplicationELB", group),
        "balancer": ("AWS/ApplicationELB", {"LoadBalancer": group["LoadBalancer"]}),
        "service": ("AWS/ECS", service.dimensions),
    }
    seconds = functions.period(within)
    wanted = {
        name: (of[whose][0], metric, of[whose][1], statistic, seconds)
        for name, (metric, statistic, whose) in MEASURES.items()
    }
    over = within.end - timedelta(seconds=seconds)  # a period that is still counted is no whole
    wide = pd.DataFrame(metrics.series(service.ops, wanted, within)).loc[:over]
    wide[COUNTED] = wide[COUNTED].fillna(0.0)
    return frame(wide.reset_index().to_dict("records"), COLUMNS).set_index("time")


COLUMNS = {"time": UTC_TIME, **dict.fromkeys(MEASURES, "float64")}


def episode(bad: pd.Series) -> tuple[datetime, datetime] | None:
    """From when to when it was bad the last time; pauses of up to half an hour are part of it.

    `bad`: by the start of each period, in order.
    """
    times = [time.to_pydatetime() for time in bad.index[bad]]
    if not times:
        return None
    begins = [times[0], *(time for before, time in pairwise(times) if time - before > PAUSE)]
    return begins[-1], times[-1]


def together(bad: pd.Series) -> pd.Series:
    """In how many periods of its episode it was bad, by the start of each period."""
    times = bad.index[bad].to_series()
    each = times.groupby((times.diff() > PAUSE).cumsum()).transform("size")
    return each.reindex(bad.index, fill_value=0)


def brought(deployments: Sequence[Json], bad: pd.Series) -> Json | None:
    """The deployment with which the last episode began: all was well before it, and not after.

    None where it was bad already when the window begins.
    """
    import pandas as pd

    found = episode(bad)
    if found is None or found[0] <= bad.index[0].to_pydatetime():
        return None
    step = bad.index.to_series().diff().min()
    since = pd.Timestamp(found[0])
    newest_first = (e for e in deployments if -step <= since - e["createdAt"] <= WITHIN)
    return next(newest_first, None)


def told(deployment: Json, within: Window) -> str:
    """A deployment in words."""
    of = deployment.get("taskDefinition")
    which = f"revision {number(of)}" if of else "a revision"
    return f"the deployment of {which} at {clock(deployment['createdAt'], within.end)}"


def began_with(ops: Connection, service: str, times: pd.Series, within: Window) -> str:
    """The deployment of a service with which something began, in words; empty for none.

    `times`: when it was seen.
    """
    import pandas as pd

    counted = times.groupby(times.dt.floor("5min")).size()
    every = pd.date_range(
        pd.Timestamp(within.start).floor("5min"), within.end, freq="5min", tz="UTC"
    )
    bad = counted.reindex(every.astype(counted.index.dtype), fill_value=0) >= 2
    found = brought(Service(ops, service).deployments(10), bad)
    return told(found, within) if found else ""
