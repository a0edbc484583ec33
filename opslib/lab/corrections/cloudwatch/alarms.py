"""CloudWatch alarms.

Plain moto never evaluates one, keeps no history, and honours one filter of several.

The lab evaluates an alarm each minute, and whenever it is described. The time of an ALARM is the
minute in which
its metric crossed the threshold, not that of the call that found it.
"""

import json
import threading
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterValue, ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcfromtimestamp

from opslib.lab import rhythms
from opslib.lab.corrections.cloudwatch import metrics
from opslib.lab.corrections.cloudwatch.alarm_states import (
    COMPARISONS,
    State,
    period_of,
    queries_of,
    state_of,
)
from opslib.lab.corrections.cloudwatch.metric_queries import good_period, validate
from opslib.lab.corrections.cloudwatch.metric_stores import Store, is_statistic
from opslib.lab.corrections.pages import digest, paged
from opslib.lab.rhythms import MINUTE

_LOOK_BACK = 180  # minutes
_TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
_STATE = (
    "state_value",
    "state_reason",
    "state_reason_data",
    "state_updated_timestamp",
    "state_transitioned_timestamp",
)
_KEPT = (*_STATE, "lab_checked", "lab_held_until")

_lock = threading.RLock()
_moto_put_metric_alarm = CloudWatchBackend.put_metric_alarm
_moto_set_alarm_state = CloudWatchBackend.set_alarm_state


def install() -> None:
    """Set the lab's methods on moto's classes."""
    CloudWatchBackend.put_metric_alarm = _put_metric_alarm
    CloudWatchBackend.set_alarm_state = _set_alarm_state
    CloudWatchResponse.describe_alarms = _describe_alarms
    CloudWatchResponse.describe_alarms_for_metric = _describe_alarms_for_metric
    CloudWatchResponse.describe_alarm_history = _describe_alarm_history


def tick(world: object, now: datetime) -> None:
    """Each minute: every alarm is evaluated, so that the history is whole."""
    minute = _seconds(now) // MINUTE
    for _, _, backend in list(cloudwatch_backends.iter_backends()):
        if backend.__dict__.get("lab_evaluated") != minute:
            backend.__dict__["lab_evaluated"] = minute
            _evaluated(backend)


def backdate(account: str, region: str, when: datetime) -> None:
    """Lets every alarm be there, in its state, since then.

    One that is seeded was not made this morning.
    """
    backend = cloudwatch_backends[account][region]
    at = utcfromtimestamp(_seconds(when))
    for alarm in _evaluated(backend):
        alarm.configuration_updated_timestamp = at
        alarm.state_updated_timestamp = alarm.state_transitioned_timestamp = at
    for item in _history(backend):
        item["Timestamp"] = when.astimezone(UTC)


def _evaluated(backend: CloudWatchBackend) -> list[Alarm]:
    """The alarms by name, in the states of now."""
    with _lock:
        now, store = rhythms.now(), metrics.of(backend)
        alarms = sorted(backend.alarms.values(), key=lambda alarm: str(alarm.name))
        for alarm in alarms:
            if alarm.rule is None and now >= alarm.__dict__.get("lab_held_until", 0):
                _evaluate(backend, alarm, store, now)
        return alarms


def _evaluate(backend: CloudWatchBackend, alarm: Alarm, store: Store, now: float) -> None:
    was_set = alarm.__dict__.pop("lab_held_until", None)
    is_first = not alarm.__dict__.setdefault("lab_checked", False)
    alarm.lab_checked = True
    state = state_of(alarm, store, now)
    if state.value is None or (state.value == alarm.state_value and not was_set):
        return
    since = now
    if state.value == "ALARM" and not was_set:
        since = _since(alarm, store, now)
    elif is_first:
        since = _seconds(alarm.state_updated_timestamp)
    _change(backend, alarm, state, since)


def _since(alarm: Alarm, store: Store, now: float) -> float:
    """The minute from which on the alarm's metric would have had it in ALARM.

    Not before its last change.
    """
    changed = max(alarm.state_updated_timestamp, alarm.configuration_updated_timestamp)
    earliest = max(_seconds(changed), now - _LOOK_BACK * MINUTE)
    since = now
    while since - MINUTE >= earliest and state_of(alarm, store, since - MINUTE).value == "ALARM":
        since -= MINUTE
    return max(since // MINUTE * MINUTE, earliest)


def _change(backend: CloudWatchBackend, alarm: Alarm, state: State, at: float) -> None:
    old = _state_data(alarm)
    when = utcfromtimestamp(at)
    if alarm.state_value != state.value:
        alarm.state_transitioned_timestamp = when
    alarm.state_value, alarm.state_reason, alarm.state_reason_data = (
        state.value,
        state.reason,
        state.data,
    )
    alarm.state_updated_timestamp = when
    if old["stateValue"] != state.value:
        data = {"version": "1.0", "oldState": old, "newState": _state_data(alarm)}
        summary = f"Alarm updated from {old['stateValue']} to {state.value}"
        _record(backend, alarm, "StateUpdate", summary, data, at)


def _state_data(alarm: Alarm) -> dict[str, Any]:
    data = json.loads(alarm.state_reason_data or "{}")
    return {
        "stateValue": alarm.state_value,
        "stateReason": alarm.state_reason,
        "stateReasonData": data,
    }


def _record(
    backend: CloudWatchBackend,
    alarm: Alarm,
    kind: str,
    summary: str,
    data: dict[str, Any],
    at: float,
) -> None:
    _history(backend).append(
        {
            "AlarmName": alarm.name,
            "AlarmType": "MetricAlarm",
            "Timestamp": datetime.fromtimestamp(at, UTC),
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps(data),
        }
    )


def _history(backend: CloudWatchBackend) -> list[dict[str, Any]]:
    held: list[dict[str, Any]] = backend.__dict__.setdefault("lab_alarm_history", [])
    return held


def _put_metric_alarm(self: CloudWatchBackend, name: str, **given: Any) -> Alarm:
    """As moto, but checked as AWS does.

    A new alarm has no data yet, a changed one keeps its state.
    """
    with _lock:
        before = self.alarms.get(name)
        alarm = _moto_put_metric_alarm(self, name=name, **given)
        try:
            if alarm.rule is None:
                _check(alarm)
        except Exception:
            del self.alarms[name]
            if before:
                self.alarms[name] = before
            raise
        alarm.state_value, at = "INSUFFICIENT_DATA", utcfromtimestamp(rhythms.now())
        alarm.configuration_updated_timestamp = at
        alarm.state_updated_timestamp = alarm.state_transitioned_timestamp = at
        if before:
            alarm.__dict__.update(
                {key: before.__dict__[key] for key in _KEPT if key in before.__dict__}
            )
        verb = "updated" if before else "created"
        data = {"version": "1.0", "type": "Update" if before else "Create"}
        _record(self, alarm, "ConfigurationUpdate", f'Alarm "{name}" {verb}', data, rhythms.now())
        return alarm


def _check(alarm: Alarm) -> None:
    """Raises ValidationError for what AWS refuses, and for anomaly detection,
    which the lab does not have.
    """
    if alarm.comparison_operator not in COMPARISONS or alarm.threshold is None:
        raise ValidationError(
            f"ComparisonOperator {alarm.comparison_operator} is not supported by the lab."
        )
    if alarm.treat_missing_data not in (None, *_TREATMENTS):
        raise ValidationError(
            f"Option {alarm.treat_missing_data} is not supported. Supported options for parameter "
            "TreatMissingData "
            f"are {', '.join(_TREATMENTS)}."
        )
    periods = int(alarm.evaluation_periods)
    if alarm.datapoints_to_alarm and int(alarm.datapoints_to_alarm) > periods:
        raise ValidationError(
            "The parameter DatapointsToAlarm must be less than or equal to EvaluationPeriods."
        )
    if alarm.metric_data_queries:
        queries = queries_of(alarm)
        validate(queries)
        if any("SEARCH(" in query.get("Expression", "") for query in queries):
            raise ValidationError("'SEARCH' is not supported on metric alarms.")
        if sum(query["ReturnData"] for query in queries) != 1:
            raise ValidationError("Exactly one element of the metrics list should return data.")
    elif bool(alarm.statistic) == bool(alarm.extended_statistic):
        raise ValidationError(
            "Exactly one of the parameters Statistic and ExtendedStatistic must be specified."
        )
    elif not is_statistic(alarm.extended_statistic or alarm.statistic):
        raise ValidationError(
            f"The value {alarm.extended_statistic or alarm.statistic} is not a supported statistic."
        )
    elif not good_period(int(alarm.period)):
        raise ValidationError("Period must be 10, 30 or a multiple of 60.")
    longest = 604_800 if period_of(alarm) >= 3600 else 86_400
    if periods * period_of(alarm) > longest:
        raise ValidationError(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be "
            "<= 86400)."
        )


def _set_alarm_state(
    self: CloudWatchBackend, alarm_name: str, reason: str, reason_data: str | None, state_value: str
) -> None:
    """The state holds until the next evaluation: that of the next minute."""
    with _lock:
        before = (
            {key: self.alarms[alarm_name].__dict__.get(key) for key in _STATE}
            if alarm_name in self.alarms
            else {}
        )
        _moto_set_alarm_state(self, alarm_name, reason, reason_data, state_value)  # it checks
        alarm, now = self.alarms[alarm_name], rhythms.now()
        alarm.__dict__.update(before)
        _change(self, alarm, State(state_value, reason, reason_data or "{}"), now)
        alarm.lab_held_until = now // MINUTE * MINUTE + MINUTE


def _describe_alarms(self: CloudWatchResponse) -> ActionResult:
    asked = self._get_params()
    names, prefix = asked.get("AlarmNames"), asked.get("AlarmNamePrefix")
    if names and prefix:
        raise ValidationError("AlarmNames and AlarmNamePrefix cannot be specified together.")
    state = asked.get("StateValue")
    if state not in (None, "OK", "ALARM", "INSUFFICIENT_DATA"):
        raise InvalidParameterValue(f"The value {state} for parameter StateValue is not supported.")
    action, kinds = asked.get("ActionPrefix") or "", asked.get("AlarmTypes") or ["MetricAlarm"]
    found = [
        alarm
        for alarm in _evaluated(self.cloudwatch_backend)
        if (not names or alarm.name in names)
        and alarm.name.startswith(prefix or "")
        and state in (None, alarm.state_value)
        and (not action or any(each.startswith(action) for each in alarm.alarm_actions))
        and ("CompositeAlarm" if alarm.rule else "MetricAlarm") in kinds
    ]
    size = _size(asked, 50)
    page, token = paged(
        found, size, asked.get("NextToken"), digest(names, prefix, state, action, kinds)
    )
    metric = [alarm for alarm in page if alarm.rule is None]
    composite = [alarm for alarm in page if alarm.rule is not None]
    return ActionResult({"MetricAlarms": metric, "CompositeAlarms": composite, "NextToken": token})


def _size(asked: dict[str, Any], default: int) -> int:
    size = int(asked.get("MaxRecords") or default)
    if not 1 <= size <= 100:
        raise InvalidParameterValue(
            f"The value {size} for parameter MaxRecords must be between 1 and 100."
        )
    return size


def _describe_alarms_for_metric(self: CloudWatchResponse) -> ActionResult:
    asked = self._get_params()
    wanted = {each["Name"]: each["Value"] for each in asked.get("Dimensions") or ()}
    found = [
        alarm
        for alarm in _evaluated(self.cloudwatch_backend)
        if (alarm.namespace, alarm.metric_name) == (asked["Namespace"], asked["MetricName"])
        and {each.name: each.value for each in alarm.dimensions} == wanted
        and asked.get("Statistic") in (None, alarm.statistic)
        and asked.get("ExtendedStatistic") in (None, alarm.extended_statistic)
        and asked.get("Period") in (None, alarm.period)
    ]
    return ActionResult({"MetricAlarms": found})


def _describe_alarm_history(self: CloudWatchResponse) -> ActionResult:
    asked = self._get_params()
    _evaluated(self.cloudwatch_backend)
    name, kind = asked.get("AlarmName"), asked.get("HistoryItemType")
    start = _seconds(asked["StartDate"]) if asked.get("StartDate") else float("-inf")
    end = _seconds(asked["EndDate"]) if asked.get("EndDate") else float("inf")
    items = [
        item
        for item in _history(self.cloudwatch_backend)
        if name in (None, item["AlarmName"])
        and kind in (None, item["HistoryItemType"])
        and start <= item["Timestamp"].timestamp() <= end
    ]
    items.sort(key=lambda item: item["Timestamp"])
    if asked.get("ScanBy") != "TimestampAscending":
        items.reverse()
    bound = digest(name, kind, start, end, asked.get("ScanBy"))
    page, token = paged(items, _size(asked, 100), asked.get("NextToken"), bound)
    return ActionResult({"AlarmHistoryItems": page, "NextToken": token})


def _seconds(when: datetime) -> float:
    return when.replace(tzinfo=when.tzinfo or UTC).timestamp()
