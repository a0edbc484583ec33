"""How loglineos begins, and how its day goes on."""

from __future__ import annotations

from datetime import datetime, timedelta

from moto.moto_api._internal import mock_random

from opslib.lab.estates.loglineos import database, measures, monitors, networks, releases, terraform, troubles
from opslib.lab.estates.loglineos.traffic import Traffic
from opslib.lab.places import Place
from opslib.lab.resources import functions, names
from opslib.lab.resources.networks import Network
from opslib.lab.traffic.journals import append_requests


def seed(place: Place) -> None:
    """Everything that the target has at the lab's start, and the day before in logs and metrics."""
    mock_random.seed(names.number(place, "identifiers"))  # ids of resources: the same for the same seed
    network = networks.seed(place)
    database.seed(place, meanwhile=lambda: _seed_rest(place, network))


def _seed_rest(place: Place, network: Network) -> None:
    functions.seed(place, releases.BUILD, releases.variables(place), network.of_functions())
    for key in place.facts["functions"]:
        place.logs(names.log_group(place, key), [])
    place.memory["traffic"] = Traffic(place)
    measures.seed(place)
    monitors.seed(place)
    terraform.seed(place)
    append_requests(place, names.start(place) - timedelta(days=1), names.start(place))


def tick(place: Place, now: datetime) -> None:
    """A second of the day: log lines, the app's own statements, what somebody deployed or repaired meanwhile."""
    functions.observe(place, now)
    troubles.tick(place, now)
    append_requests(place, place.memory["told"], now)
    database.tick(place, now)
