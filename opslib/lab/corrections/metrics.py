"""CloudWatch metrics: plain moto answers percentiles with an error, expressions with nothing, and in seconds.

Estates fill the store of an account and region:

    from opslib.lab.corrections import metrics
    from opslib.lab.corrections.rhythms import counts, daily_rhythm, latencies, shares

    mine = metrics.store("111122223333", "us-west-2")
    mine.baseline("AWS/Lambda", "Invocations", {"FunctionName": "api"}, counts(daily_rhythm(2, 40, 0.2, 7), 7), "Count")
    mine.gauge("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "jobs"}, lambda: len(queue), "Count")
    overlay = mine.overlay("AWS/Lambda", "Errors", {"FunctionName": "api"}, start, None, lambda t: 12.0, "Count")
    overlay.remove()
    mine.put("App", "Uploads", {}, when, 3.0)       # what PutMetricData does
    mine.tick()                                     # each minute: keeps what the gauges read
"""

from __future__ import annotations

from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends

from ._metric_stores import Store


def store(account: str, region: str) -> Store:
    """The metrics of one account and region; a reset of moto's backends empties them."""
    return of(cloudwatch_backends[account][region])


def of(backend: CloudWatchBackend) -> Store:
    """The store that belongs to a backend. It lives on it, so that it is reset with it."""
    held: Store = backend.__dict__.setdefault("lab_metrics", Store())
    return held
