"""The VPC of the loader and of its database."""

from __future__ import annotations

from opslib.lab.places import Place
from opslib.lab.resources import networks
from opslib.lab.resources.networks import Network

_BLOCK = "10.70"
_GROUPS = {"lambda": "The functions", "database": "The ledger's database"}


def seed(place: Place) -> Network:
    network = networks.make(place, place.name, _BLOCK, _GROUPS)
    networks.let_in(place, network.groups["database"], network.groups["lambda"], 5432)
    place.memory["database_group"] = network.groups["database"]
    return network
