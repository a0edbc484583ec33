"""How a target of bluemoxon begins, and how its day goes on."""

from __future__ import annotations

from datetime import datetime, timedelta

from moto.moto_api._internal import mock_random

from opslib.lab.estates.bluemoxon import (
    buckets,
    databases,
    journals,
    measures,
    monitors,
    names,
    networks,
    queues,
    releases,
    users,
    workers,
)
from opslib.lab.estates.bluemoxon.traffic import Traffic
from opslib.lab.places import Place
from opslib.lab.resources import certificates, functions
from opslib.lab.traffic.journals import append_requests


def seed(place: Place) -> None:
    """Everything that the target has at the lab's start, and the day before in logs and metrics."""
    mock_random.seed(names.number(place, "identifiers"))  # ids of resources: the same for the same seed
    network = networks.seed(place)
    databases.seed(place)
    users.seed(place)
    queues.seed(place)
    buckets.seed(place)
    functions.seed(place, releases.BUILD, releases.variables(place), network.of_functions())
    place.memory["traffic"] = Traffic(place)
    measures.seed(place)
    monitors.seed(place)
    certificates.seed(place)
    _tell(place, names.start(place) - timedelta(days=1), names.start(place))
    journals.append_jobs(place)


def tick(place: Place, now: datetime) -> None:
    """A second of the day: log lines, jobs, what somebody deployed meanwhile."""
    functions.observe(place, now)
    _tell(place, place.memory["told"], now)
    workers.tick(place, now)


def _tell(place: Place, since: datetime, until: datetime) -> None:
    append_requests(place, since, until)
    journals.append_schedules(place, since, until)
