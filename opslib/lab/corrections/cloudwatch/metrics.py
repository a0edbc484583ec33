"""CloudWatch metrics.

Plain moto answers percentiles with an error, expressions with nothing, and in seconds.

Estates fill the store of an account and region:

    from opslib.lab.corrections import metrics
    from opslib.lab.corrections.rhythms import counts, daily_rhythm, latencies, shares

    mine = metrics.store("111122223333", "us-west-2")
    mine.baseline("AWS/Lambda", "Invocations", {"FunctionName": "api"}, counts(daily_rhythm(2, 40,
    0.2, 7), 7), "Count")
    mine.gauge("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "jobs"}, lambda:
    len(queue), "Count")
    overlay = mine.overlay("AWS/Lambda", "Errors", {"FunctionName": "api"}, start, None, lambda t:
    12.0, "Count")
    overlay.remove()
    mine.put("App", "Uploads", {}, when, 3.0)       # what PutMetricData does

The gauges' values are kept each minute. `rhythms.set_anchor(start, clock_offset_hours)` binds
baselines to the lab's day.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import (
    InvalidParameterCombination,
    InvalidParameterValue,
    ValidationError,
)
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from opslib.lab.corrections.cloudwatch.metric_queries import Result, answer, good_period, key_of
from opslib.lab.corrections.cloudwatch.metric_stores import (
    STATISTICS,
    Bucket,
    Key,
    StatisticSet,
    Store,
)
from opslib.lab.corrections.cloudwatch.statistics import is_extended
from opslib.lab.corrections.pages import digest, paged, read_token, write_token
from opslib.lab.rhythms import MINUTE, Samples

_MAX_DATAPOINTS = 100_800
_LISTED_A_PAGE = 500


def store(account: str, region: str) -> Store:
    """The metrics of one account and region; a reset of moto's backends empties them."""
    return of(cloudwatch_backends[account][region])


def of(backend: CloudWatchBackend) -> Store:
    """The store that belongs to a backend. It lives on it, so that it is reset with it."""
    held: Store = backend.__dict__.setdefault("lab_metrics", Store())
    return held


def install() -> None:
    """Set the lab's methods on moto's classes."""
    CloudWatchBackend.put_metric_data = _put
    CloudWatchResponse.put_metric_data = _put_metric_data
    CloudWatchResponse.get_metric_data = _get_metric_data
    CloudWatchResponse.get_metric_statistics = _get_metric_statistics
    CloudWatchResponse.list_metrics = _list_metrics


def tick(world: object, now: datetime) -> None:
    """Each minute: what the gauges read is kept, in every account and region."""
    minute = _seconds(now) // MINUTE
    for _, _, backend in list(cloudwatch_backends.iter_backends()):
        if backend.__dict__.get("lab_ticked") != minute:
            backend.__dict__["lab_ticked"] = minute
            of(backend).tick()


def _put(self: CloudWatchBackend, namespace: str, metric_data: Sequence[Mapping[str, Any]]) -> None:
    for number, datum in enumerate(metric_data, 1):
        self._validate_parameters_put_metric_data(datum, number)
    for datum in metric_data:
        dimensions = {each["Name"]: each["Value"] for each in datum.get("Dimensions") or ()}
        of(self).put(
            namespace,
            datum["MetricName"],
            dimensions,
            _seconds(datum.get("Timestamp") or datetime.now(UTC)),
            _point(datum),
            datum.get("Unit") or "None",
            1 if int(datum.get("StorageResolution") or MINUTE) < MINUTE else MINUTE,
        )


def _point(datum: Mapping[str, Any]) -> Samples | StatisticSet:
    values = datum.get("StatisticValues")
    if values:
        return StatisticSet(
            *(float(values[name]) for name in ("Sum", "SampleCount", "Minimum", "Maximum"))
        )
    if datum.get("Values"):
        counts = datum.get("Counts") or [1.0] * len(datum["Values"])
        return Samples([float(each) for each in datum["Values"]], [float(each) for each in counts])
    return Samples((float(datum.get("Value", 0)),), (1.0,))


def _put_metric_data(self: CloudWatchResponse) -> ActionResult:
    namespace, data = self._get_param("Namespace"), self._get_param("MetricData", [])
    if namespace.startswith("AWS/"):
        raise InvalidParameterValue("The value AWS/ for parameter Namespace is invalid.")
    now = datetime.now(UTC)
    for number, datum in enumerate(data, 1):
        when = _seconds(datum.get("Timestamp") or now)
        if not -14 * 86400 <= when - now.timestamp() <= 2 * 3600:
            raise InvalidParameterValue(
                f"The parameter MetricData.member.{number}.Timestamp must specify a time no more "
                "than two weeks in "
                "the past and no more than two hours in the future."
            )
        if not {"Value", "Values", "StatisticValues"} & set(datum):
            raise InvalidParameterCombination(
                f"At least one of the parameters MetricData.member.{number}.Value, .Values or "
                ".StatisticValues "
                "must be specified."
            )
    self.cloudwatch_backend.put_metric_data(namespace, data)
    return EmptyResult()


def _get_metric_data(self: CloudWatchResponse) -> ActionResult:
    asked = self._get_params()
    start, end = _window(asked["StartTime"], asked["EndTime"])
    if start > end:
        raise ValidationError("The parameter EndTime must be greater than StartTime.")
    if start == end:
        raise ValidationError("The parameter StartTime must not equal parameter EndTime.")
    queries = asked.get("MetricDataQueries") or []
    if not 1 <= len(queries) <= 500:
        raise ValidationError(
            "The collection MetricDataQueries must have a size between 1 and 500."
        )
    limit = int(asked.get("MaxDatapoints") or _MAX_DATAPOINTS)
    if not 1 <= limit <= _MAX_DATAPOINTS:
        raise ValidationError(
            f"The value {limit} for parameter MaxDatapoints must be between 1 and "
            f"{_MAX_DATAPOINTS}."
        )
    bound = digest(start, end, queries)
    offset = read_token(asked.get("NextToken"), bound)
    results = answer(of(self.cloudwatch_backend), queries, start, end)
    size = max(1, limit // max(1, len(results)))
    newest_first = asked.get("ScanBy") != "TimestampAscending"
    pages = [_page(result, offset, size, newest_first) for result in results]
    reply: dict[str, Any] = {"MetricDataResults": pages, "Messages": []}
    if any(page["StatusCode"] == "PartialData" for page in pages):
        reply["NextToken"] = write_token(bound, offset + size)
    return ActionResult(reply)


def _page(result: Result, offset: int, size: int, newest_first: bool) -> dict[str, Any]:
    times = sorted(result.values, reverse=newest_first)
    page = times[offset : offset + size]
    return {
        "Id": result.id,
        "Label": result.label,
        "Timestamps": [datetime.fromtimestamp(at, UTC) for at in page],
        "Values": [result.values[at] for at in page],
        "StatusCode": "PartialData" if offset + size < len(times) else "Complete",
    }


def _get_metric_statistics(self: CloudWatchResponse) -> ActionResult:
    asked = self._get_params()
    names, extended = asked.get("Statistics") or [], asked.get("ExtendedStatistics") or []
    start, end = _window(asked["StartTime"], asked["EndTime"])
    period = int(asked["Period"])
    _check_statistics(names, extended, start, end, period)
    metrics, key = of(self.cloudwatch_backend), key_of(asked)
    series, points = metrics.series.get(key), []
    if series and asked.get("Unit") in (None, series.unit):
        for at, bucket in metrics.buckets(key, start, end, period):
            points.append(_datapoint(at, bucket, series.unit, names, extended))
    # AWS does not sort them; whoever relies on the order finds out here.
    return ActionResult({"Label": asked["MetricName"], "Datapoints": points[1::2] + points[::2]})


def _check_statistics(
    names: list[str], extended: list[str], start: float, end: float, period: int
) -> None:
    if not names and not extended:
        raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
    for name in set(names) - set(STATISTICS):
        raise InvalidParameterValue(
            f"The value {name} for parameter Statistics is not one of {', '.join(STATISTICS)}."
        )
    for name in extended:
        if not is_extended(name):
            raise InvalidParameterValue(
                f"The value {name} for parameter ExtendedStatistics is not supported."
            )
    if not good_period(period):
        raise InvalidParameterValue(
            "The parameter Period must be a value in the set [1, 5, 10, 20, 30] or a multiple of "
            "60."
        )
    if start >= end:
        raise InvalidParameterValue(
            "The parameter StartTime must be less than the parameter EndTime."
        )
    count = -int(-(end - start) // period)
    if count > 1440:
        raise InvalidParameterCombination(
            f"You have requested up to {count} datapoints, which exceeds the limit of 1440. You "
            "may reduce the "
            "datapoints requested by increasing Period, or decreasing the time range."
        )


def _datapoint(
    at: float, bucket: Bucket, unit: str, names: list[str], extended: list[str]
) -> dict[str, Any]:
    point: dict[str, Any] = {"Timestamp": datetime.fromtimestamp(at, UTC), "Unit": unit}
    point.update({name: bucket.statistic(name) for name in names})
    if extended:
        found = {name: bucket.statistic(name) for name in extended}
        point["ExtendedStatistics"] = {
            name: value for name, value in found.items() if value is not None
        }
    return point


def _list_metrics(self: CloudWatchResponse) -> ActionResult:
    asked = self._get_params()
    wanted = [(each["Name"], each.get("Value")) for each in asked.get("Dimensions") or ()]
    namespace, metric = asked.get("Namespace"), asked.get("MetricName")
    keys = [
        key
        for key in of(self.cloudwatch_backend).known()
        if namespace in (None, key.namespace) and metric in (None, key.metric) and _has(key, wanted)
    ]
    bound = digest(namespace, metric, wanted)
    page, token = paged(
        keys, _LISTED_A_PAGE, asked.get("NextToken"), bound, "InvalidParameterValue"
    )
    return ActionResult({"Metrics": [_metric(key) for key in page], "NextToken": token})


def _has(key: Key, wanted: Sequence[tuple[str, str | None]]) -> bool:
    dimensions = dict(key.dimensions)
    return all(name in dimensions and value in (None, dimensions[name]) for name, value in wanted)


def _metric(key: Key) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in key.dimensions]
    return {"Namespace": key.namespace, "MetricName": key.metric, "Dimensions": dimensions}


def _window(start: datetime, end: datetime) -> tuple[float, float]:
    """AWS takes the start down to its minute."""
    return _seconds(start) // MINUTE * MINUTE, _seconds(end)


def _seconds(when: datetime) -> float:
    return when.replace(tzinfo=when.tzinfo or UTC).timestamp()
