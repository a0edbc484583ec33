"""The troubles that loglineos's runbook knows, each put in and taken out again. A drill's name is the finding's cause."""

from __future__ import annotations

from opslib.lab.estates.loglineos.drills import databases, deployments, functions
from opslib.lab.traffic.drills import journaled

DRILLS = journaled((*databases.DRILLS, *functions.DRILLS, *deployments.DRILLS))
