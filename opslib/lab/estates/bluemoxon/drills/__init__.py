"""The troubles that bluemoxon's runbook knows, each put in and taken out again. A drill's name is the finding's cause."""

from __future__ import annotations

from opslib.lab.estates.bluemoxon.drills import answers, releases, stores, surroundings, work
from opslib.lab.traffic.drills import journaled

DRILLS = journaled((*surroundings.DRILLS, *work.DRILLS, *releases.DRILLS, *stores.DRILLS, *answers.DRILLS))
